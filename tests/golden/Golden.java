/* Golden.java - Kafka's own classes look at our requests and make the responses that our readers are tested with.
 *
 *	java -cp 'JARS/*' tests/golden/Golden.java check tests/golden/requests.hex
 *		parses each request, prints it, writes it again with Kafka's writer and fails unless the bytes are the same
 *	java -cp 'JARS/*' tests/golden/Golden.java batches tests/golden/batches.hex
 *		checks each batch's CRC and prints its records
 *	java -cp 'JARS/*' tests/golden/Golden.java responses >tests/golden/responses.hex
 *	java -cp 'JARS/*' tests/golden/Golden.java codecs >tests/golden/codecs.hex
 *		the records of batches.hex's compressed batches as Kafka's own writer lays them out and compresses them
 *	java -cp 'JARS/*' tests/golden/Golden.java partitions >tests/golden/partitions.txt
 *		murmur2 and partition of 5,000 keys that a generator of our own makes (test_murmur2.c has it too)
 *
 * JARS: Apache Kafka's jars of the version named in tests/kafka/pom.xml.
 */
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.requests.*;

public class Golden {
	static final int CORRELATION = 0x01020304;

	static byte[] bytes(ByteBuffer b) {
		byte[] all = new byte[b.remaining()];
		b.get(all);
		return all;
	}

	static boolean check(String line) {
		String name = line.substring(0, line.indexOf(' '));
		byte[] frame = HexFormat.of().parseHex(line.substring(line.indexOf(' ') + 1).trim());
		ByteBuffer in = ByteBuffer.wrap(frame);
		if (in.getInt() != frame.length - 4)
			throw new RuntimeException(name + ": wrong length");
		RequestHeader header = RequestHeader.parse(in);
		AbstractRequest request = AbstractRequest.parseRequest(header.apiKey(), header.apiVersion(), new ByteBufferAccessor(in)).request;
		if (in.hasRemaining())
			throw new RuntimeException(name + ": " + in.remaining() + " bytes left over");
		System.out.println(name + "\n  " + header + "\n  " + request.data());
		ByteBuffer again = RequestUtils.serialize(header.data(), header.headerVersion(), request.data(), header.apiVersion());
		boolean same = Arrays.equals(bytes(again), Arrays.copyOfRange(frame, 4, frame.length));
		if (request.data() instanceof ProduceRequestData) {
			for (ProduceRequestData.TopicProduceData t : ((ProduceRequestData) request.data()).topicData())
				for (ProduceRequestData.PartitionProduceData p : t.partitionData())
					for (var batch : ((MemoryRecords) p.records()).batches()) {
						batch.ensureValid();
						System.out.println("  " + batch + " " + batch.countOrNull() + " records");
					}
		}
		if (!same)
			System.out.println("  DIFFERENT: " + HexFormat.of().formatHex(bytes(again.rewind())));
		return same;
	}

	static void response(String name, ApiKeys key, int version, ApiMessage body) {
		ResponseHeader header = new ResponseHeader(CORRELATION, key.responseHeaderVersion((short) version));
		System.out.println(name + "." + version + " " + HexFormat.of().formatHex(bytes(
			RequestUtils.serialize(header.data(), header.headerVersion(), body, (short) version))));
	}

	static void versions() {
		ApiVersionsResponseData d = new ApiVersionsResponseData().setErrorCode((short) 0);
		int[][] ranges = { { 0, 3, 13 }, { 1, 4, 18 }, { 3, 0, 13 }, { 18, 0, 4 }, { 22, 0, 5 }, { 68, 0, 1 } };
		for (int[] r : ranges)
			d.apiKeys().add(new ApiVersionsResponseData.ApiVersion().setApiKey((short) r[0]).setMinVersion((short) r[1])
				.setMaxVersion((short) r[2]));
		for (int v = 0; v <= 4; v++) {
			if (v >= 1)
				d.setThrottleTimeMs(77);
			if (v >= 3) {
				d.setSupportedFeatures(new ApiVersionsResponseData.SupportedFeatureKeyCollection(List.of(
					new ApiVersionsResponseData.SupportedFeatureKey().setName("metadata.version").setMinVersion((short) 1)
						.setMaxVersion((short) 27)).iterator()));
				d.setFinalizedFeaturesEpoch(12);
			}
			response("versions", ApiKeys.API_VERSIONS, v, d);
		}
	}

	static void metadata() {
		for (int v = 7; v <= 13; v++) {
			MetadataResponseData d = new MetadataResponseData().setThrottleTimeMs(5).setClusterId("cluster-1").setControllerId(2);
			d.brokers().add(new MetadataResponseData.MetadataResponseBroker().setNodeId(1).setHost("kafka-1").setPort(9092).setRack("r1"));
			d.brokers().add(new MetadataResponseData.MetadataResponseBroker().setNodeId(2).setHost("kafka-2").setPort(65535));
			MetadataResponseData.MetadataResponseTopic t = new MetadataResponseData.MetadataResponseTopic().setName("logs");
			MetadataResponseData.MetadataResponseTopic bad = new MetadataResponseData.MetadataResponseTopic().setName("none")
				.setErrorCode((short) 3);
			if (v >= 10)
				t.setTopicId(new Uuid(0x0102030405060708L, 0x090a0b0c0d0e0f10L));
			for (int p = 0; p < 2; p++)
				t.partitions().add(new MetadataResponseData.MetadataResponsePartition().setPartitionIndex(p).setLeaderId(p == 0 ? 1 : -1)
					.setErrorCode((short) (p == 0 ? 0 : 5)).setLeaderEpoch(10 + p).setReplicaNodes(List.of(1, 2))
					.setIsrNodes(List.of(1)).setOfflineReplicas(List.of(2)));
			d.topics().add(t);
			d.topics().add(bad);
			if (v >= 13)
				d.setErrorCode((short) 129);
			response("metadata", ApiKeys.METADATA, v, d);
		}
	}

	static void ids() {
		for (int v = 0; v <= 5; v++)
			response("init", ApiKeys.INIT_PRODUCER_ID, v, new InitProducerIdResponseData().setThrottleTimeMs(9)
				.setProducerId(0x1122334455L).setProducerEpoch((short) 0));
	}

	static void produce() {
		for (int v = 7; v <= 13; v++) {
			ProduceResponseData d = new ProduceResponseData().setThrottleTimeMs(33);
			ProduceResponseData.TopicProduceResponse a = new ProduceResponseData.TopicProduceResponse().setName("alpha");
			ProduceResponseData.TopicProduceResponse b = new ProduceResponseData.TopicProduceResponse().setName("beta");
			a.partitionResponses().add(new ProduceResponseData.PartitionProduceResponse().setIndex(0).setBaseOffset(1234567890123L)
				.setLogAppendTimeMs(-1).setLogStartOffset(7));
			ProduceResponseData.PartitionProduceResponse moved = new ProduceResponseData.PartitionProduceResponse().setIndex(3)
				.setErrorCode((short) 6).setBaseOffset(-1);
			if (v >= 8)
				moved.setErrorMessage("not here").setRecordErrors(List.of(new ProduceResponseData.BatchIndexAndErrorMessage()
					.setBatchIndex(2).setBatchIndexErrorMessage("bad one"),
					new ProduceResponseData.BatchIndexAndErrorMessage().setBatchIndex(4)));
			if (v >= 10) {
				moved.currentLeader().setLeaderId(5).setLeaderEpoch(42);
				d.nodeEndpoints().add(new ProduceResponseData.NodeEndpoint().setNodeId(5).setHost("kafka-5").setPort(9095));
			}
			a.partitionResponses().add(moved);
			b.partitionResponses().add(new ProduceResponseData.PartitionProduceResponse().setIndex(1).setBaseOffset(8)
				.setLogAppendTimeMs(1700000000000L).setLogStartOffset(0));
			if (v >= 13) {
				a.setName("").setTopicId(new Uuid(0x0102030405060708L, 0x090a0b0c0d0e0f10L));
				b.setName("").setTopicId(new Uuid(0x1112131415161718L, 0x191a1b1c1d1e1f20L));
			}
			d.responses().add(a);
			d.responses().add(b);
			response("produce", ApiKeys.PRODUCE, v, d);
		}
	}

	static void describe() {
		DescribeProducersResponseData.PartitionResponse p = new DescribeProducersResponseData.PartitionResponse().setPartitionIndex(3);
		p.activeProducers().add(new DescribeProducersResponseData.ProducerState().setProducerId(0x1122334455L).setProducerEpoch(7)
			.setLastSequence(2147483647).setLastTimestamp(1700000000000L));
		p.activeProducers().add(new DescribeProducersResponseData.ProducerState().setProducerId(5).setProducerEpoch(32767)
			.setLastSequence(0).setLastTimestamp(-1).setCoordinatorEpoch(4).setCurrentTxnStartOffset(99));
		response("describe", ApiKeys.DESCRIBE_PRODUCERS, 0, new DescribeProducersResponseData().setThrottleTimeMs(11).setTopics(List.of(
			new DescribeProducersResponseData.TopicResponse().setName("logs").setPartitions(List.of(p)))));
	}

	static void configs() {
		for (int v = 1; v <= 4; v++) {
			DescribeConfigsResponseData.DescribeConfigsResourceResult a = new DescribeConfigsResponseData.DescribeConfigsResourceResult()
				.setConfigSource((byte) 1).setName("retention.ms").setValue("3600000").setReadOnly(false).setIsSensitive(false);
			a.synonyms().add(new DescribeConfigsResponseData.DescribeConfigsSynonym().setName("log.retention.ms").setValue(null)
				.setSource((byte) 5));
			DescribeConfigsResponseData.DescribeConfigsResourceResult b = new DescribeConfigsResponseData.DescribeConfigsResourceResult()
				.setConfigSource((byte) 5).setName("cleanup.policy").setValue(null).setReadOnly(true).setIsSensitive(true);
			if (v >= 3)
				a.setConfigType((byte) 5).setDocumentation("how long");
			response("configs", ApiKeys.DESCRIBE_CONFIGS, v, new DescribeConfigsResponseData().setThrottleTimeMs(11).setResults(List.of(
				new DescribeConfigsResponseData.DescribeConfigsResult().setErrorCode((short) 29).setErrorMessage("no")
					.setResourceType((byte) 2).setResourceName("logs").setConfigs(List.of(a, b)))));
		}
	}

	static void operations() {
		for (int v = 8; v <= 13; v++) {
			MetadataResponseData d = new MetadataResponseData().setThrottleTimeMs(5).setClusterId("cluster-1").setControllerId(2);
			d.topics().add(new MetadataResponseData.MetadataResponseTopic().setName("logs").setTopicAuthorizedOperations(0x510));
			if (v <= 10)
				d.setClusterAuthorizedOperations(0x1000);
			response("operations", ApiKeys.METADATA, v, d);
		}
	}

	static void offsets() {
		for (int v = 1; v <= 7; v++) {
			ListOffsetsResponseData.ListOffsetsPartitionResponse p = new ListOffsetsResponseData.ListOffsetsPartitionResponse()
				.setPartitionIndex(3).setTimestamp(1700000000000L).setOffset(1234567890123L);
			if (v >= 4)
				p.setLeaderEpoch(8);
			response("offsets", ApiKeys.LIST_OFFSETS, v, new ListOffsetsResponseData().setThrottleTimeMs(v >= 2 ? 12 : 0).setTopics(
				List.of(new ListOffsetsResponseData.ListOffsetsTopicResponse().setName("logs").setPartitions(List.of(p)))));
		}
	}

	static void fetch() {
		var records = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, Compression.NONE, TimestampType.CREATE_TIME, 1000,
			-1, 4711, (short) 6, 100, false, -1);
		for (int i = 0; i < 3; i++)
			records.append(1700000000000L + i, null, "a line".getBytes());
		MemoryRecords built = records.build();
		for (int v = 4; v <= 10; v++) {
			FetchResponseData.PartitionData p = new FetchResponseData.PartitionData().setPartitionIndex(3).setHighWatermark(1003)
				.setLastStableOffset(1002).setLogStartOffset(v >= 5 ? 17 : -1).setRecords(built);
			p.setAbortedTransactions(v == 4 ? null : List.of(new FetchResponseData.AbortedTransaction().setProducerId(9)
				.setFirstOffset(10), new FetchResponseData.AbortedTransaction().setProducerId(11).setFirstOffset(12)));
			response("fetch", ApiKeys.FETCH, v, new FetchResponseData().setThrottleTimeMs(13).setResponses(List.of(
				new FetchResponseData.FetchableTopicResponse().setTopic("logs").setPartitions(List.of(p)))));
		}
	}

	static void batches(String line) {
		ByteBuffer in = ByteBuffer.wrap(HexFormat.of().parseHex(line.substring(line.indexOf(' ') + 1).trim()));
		for (var batch : MemoryRecords.readableRecords(in).batches()) {
			batch.ensureValid();
			System.out.println(line.substring(0, line.indexOf(' ')) + "\n  " + batch + " id " + batch.producerId() + " epoch "
				+ batch.producerEpoch());
			for (Record r : batch)
				System.out.println("  " + r + " value "
					+ (r.hasValue() ? new String(org.apache.kafka.common.utils.Utils.toArray(r.value())) : null));
		}
	}

	static void codecs() {
		for (CompressionType type : List.of(CompressionType.NONE, CompressionType.GZIP, CompressionType.SNAPPY, CompressionType.LZ4,
			CompressionType.ZSTD)) {
			var b = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, Compression.of(type).build(), TimestampType.CREATE_TIME, 0,
				-1, 4711, (short) 0, 100, false, -1);
			for (int i = 0; i < 20; i++)
				b.append(1700000000000L, null, "2026-11-21T09:00:00Z web-1 GET /index.html 200".getBytes());
			System.out.println(type.name + " " + HexFormat.of().formatHex(bytes(b.build().buffer())));
		}
	}

	static void partitions() {
		int state = 1;
		for (int i = 0; i < 5000; i++) {
			byte[] key = new byte[i % 301];
			for (int k = 0; k < key.length; k++) {
				state = state * 1103515245 + 12345;
				key[k] = (byte) (state >>> 16);
			}
			int count = 1 + i % 97;
			System.out.println(String.format("%08x %d", org.apache.kafka.common.utils.Utils.murmur2(key),
				org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey(key, count)));
		}
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("check")) {
			boolean good = true;
			for (String line : Files.readAllLines(Path.of(args[1])))
				if (!line.startsWith("#") && !line.isBlank())
					good &= check(line);
			System.out.println(good ? "all the same as Kafka's own bytes" : "DIFFERENT");
			System.exit(good ? 0 : 1);
		}
		if (args[0].equals("batches")) {
			for (String line : Files.readAllLines(Path.of(args[1])))
				if (!line.startsWith("#") && !line.isBlank())
					batches(line);
			return;
		}
		if (args[0].equals("codecs")) {
			System.out.println("# Batches as Apache Kafka's own writer makes them: Golden.java codecs.");
			codecs();
			return;
		}
		if (args[0].equals("partitions")) {
			partitions();
			return;
		}
		System.out.println("# Responses as Apache Kafka's own classes write them: Golden.java responses.");
		versions();
		metadata();
		ids();
		produce();
		describe();
		offsets();
		fetch();
		configs();
		operations();
	}
}
