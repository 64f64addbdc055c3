/* schema.c - the tables of spool.db, the layouts of its blobs, and the statements.
 *
 * Why tables of their own: what is written together lies together, because a transaction pays for whole pages.
 *	totals      one row, in every transaction           positions   a few bytes a file: hot
 *	ledger      slots, rewritten in place: hot           files       names and fingerprints: cold
 *	rows        what is known of a spooled batch        data        its bytes: listing rows never reads them
 *	lanes, streams, routes   dictionaries, so that no hot row repeats a string
 *	losses      what was given up, for people	     rejected	 records that no topic takes, for people too
 *	home        the machine and directory it is used in  partitions  how many a topic had
 *	files also holds inputs that no file is behind: cursor is not NULL then, and their positions count what they gave
 *
 *	files ---- id ---- positions            ledger.body --- stream ---> streams
 *	ledger.row_id ---> rows.id === data.id  rows.lane   ------------> lanes
 *
 * A free ledger slot has id 0. An acked one is free at once: its ranges went into its files' positions in the same
 * transaction. A row of `rows` carries an identity if a ledger slot points to it, and only then. It may have fewer records than
 * the slot says: what is left of a batch whose other files are gone, while nobody has told whether Kafka has that batch.
 * rejected holds records that the broker refuses for what they are, one a row: nothing refers to them.
 * losses: one a file and range, with the path as it was then; nothing refers to them, and `file` may be long forgotten.
 * A row set aside leaves `rows`; its bytes stay in `data` under its id, which stands in `losses`.
 *
 * Blobs. v: varint, s: signed varint (zigzag), 1/4/8: that many bytes, little endian (varint.h).
 *
 *	positions.done   finished ranges above safe: range_set.h; NULL: none (the usual case)
 *
 *	positions.markers  some offsets that safe had before, with their hashes: markers.h; empty or NULL: none
 *
 *	ledger.body      stream v | producer id s | epoch s | base sequence s | count v |
 *	                 base timestamp s | max timestamp s (minus base) | codec 1 | raw crc 4 | raw bytes v |
 *	                 ranges (ranges.h) | crc 4: CRC-32C of slot id v, then all before
 *
 *	rows.body        base timestamp s | max timestamp s (minus base) | codec 1 | raw bytes v | raw crc 4 | crc of data 4 |
 *	                 ranges (ranges.h) | crc 4: CRC-32C of id v, lane v, count v, size v, spooled v, then all before
 *
 *	data.bytes       the batch's bytes as they go to the wire; their CRC stands in rows.body
 *
 *	rejected.bytes   the record in Kafka's record form, uncompressed; rejected.crc: its CRC-32C
 *	rejected.ranges  of the batch it came from, as far as they were known: ranges.h
 *
 * uint64_t values (inode, hashes) are stored as the int64_t of the same bits.
 */
#include "spool/schema.h"

#include <assert.h>

/* Never edited once released: a new version is a new entry. */
const char *const schema_migrations[SCHEMA_VERSION] = {
	"CREATE TABLE totals (one INTEGER PRIMARY KEY, acked INTEGER, rejected INTEGER, dropped INTEGER, filtered INTEGER,"
	" rows INTEGER, records INTEGER, bytes INTEGER, aside_bytes INTEGER, corrupt_rows INTEGER, loss_events INTEGER,"
	" loss_records INTEGER, loss_bytes INTEGER, uncertain_batches INTEGER, uncertain_records INTEGER,"
	" next_file INTEGER, next_ledger INTEGER, next_row INTEGER, next_loss INTEGER, syncs INTEGER);"
	"INSERT INTO totals VALUES (1, 0,0,0,0, 0,0,0, 0,0, 0,0,0, 0,0, 1,1,1,1, 0);"
	"CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT, origin TEXT, dev INTEGER, inode INTEGER, generation INTEGER,"
	" fingerprint_len INTEGER, fingerprint INTEGER, size INTEGER, state INTEGER, gone_ms INTEGER);"
	"CREATE TABLE positions (file INTEGER PRIMARY KEY, safe INTEGER, marker INTEGER, done BLOB);"
	"CREATE TABLE routes (id INTEGER PRIMARY KEY, topic TEXT, key BLOB, max_line INTEGER);"
	"CREATE TABLE streams (id INTEGER PRIMARY KEY, cluster TEXT, topic_id BLOB, topic TEXT, partition INTEGER);"
	"CREATE TABLE ledger (slot INTEGER PRIMARY KEY, id INTEGER, row_id INTEGER, body BLOB);"
	"CREATE TABLE lanes (id INTEGER PRIMARY KEY, topic TEXT, partition INTEGER, rows INTEGER, records INTEGER,"
	" bytes INTEGER);"
	"CREATE TABLE rows (id INTEGER PRIMARY KEY, lane INTEGER, count INTEGER, size INTEGER, spooled_ms INTEGER,"
	" body BLOB);"
	"CREATE INDEX rows_of_lane ON rows (lane);"
	"CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB);"
	"CREATE TABLE losses (id INTEGER PRIMARY KEY, ms INTEGER, reason TEXT, topic TEXT, partition INTEGER,"
	" records INTEGER, bytes INTEGER, row_id INTEGER, body BLOB);",

	"ALTER TABLE totals ADD COLUMN rejected_bytes INTEGER;"
	"ALTER TABLE totals ADD COLUMN next_rejected INTEGER;"
	"UPDATE totals SET rejected_bytes = 0, next_rejected = 1;"
	"CREATE TABLE rejected (id INTEGER PRIMARY KEY, ms INTEGER, topic TEXT, partition INTEGER, code INTEGER, message TEXT,"
	" timestamp INTEGER, crc INTEGER, ranges BLOB, bytes BLOB);"
	"ALTER TABLE routes ADD COLUMN spec TEXT;",

	"ALTER TABLE losses RENAME TO losses_2;"
	"CREATE TABLE losses (id INTEGER PRIMARY KEY, ms INTEGER, reason TEXT, topic TEXT, partition INTEGER, file INTEGER,"
	" path TEXT, start INTEGER, stop INTEGER, records INTEGER, bytes INTEGER, row_id INTEGER);"
	"ALTER TABLE positions ADD COLUMN markers BLOB;"
	"CREATE TABLE home (one INTEGER PRIMARY KEY, machine TEXT, boot TEXT, dev INTEGER, inode INTEGER);"
	"CREATE TABLE partitions (topic TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;",

	"ALTER TABLE files ADD COLUMN cursor TEXT; ALTER TABLE files ADD COLUMN cursor_at INTEGER;",

	/* Nothing is laid out anew; but the row of a ledger slot may have fewer records than that, and earlier versions would send
	 * it under the slot's identity. */
	"",
};

int (*const schema_steps[SCHEMA_VERSION])(struct db *, struct err *) = { [2] = schema_split_losses };

static_assert(TOTAL_COUNT == 21, "STMT_TOTALS_* name the columns one by one");

#define TOTALS_COLUMNS \
	"acked, rejected, dropped, filtered, rows, records, bytes, aside_bytes, corrupt_rows, loss_events," \
	" loss_records, loss_bytes, uncertain_batches, uncertain_records, next_file, next_ledger, next_row, next_loss, syncs," \
	" rejected_bytes, next_rejected"
#define ROW_COLUMNS "id, lane, count, size, spooled_ms, body"

const char *const schema_sql[STMT_COUNT] = {
	[STMT_BEGIN]           = "BEGIN",
	[STMT_COMMIT]          = "COMMIT",
	[STMT_ROLLBACK]        = "ROLLBACK",
	[STMT_PAGE_COUNT]      = "PRAGMA page_count",
	[STMT_FREELIST_COUNT]  = "PRAGMA freelist_count",
	[STMT_VACUUM_STEP]     = "PRAGMA incremental_vacuum(1024)",

	[STMT_TOTALS_PUT]      = "REPLACE INTO totals (one, " TOTALS_COLUMNS ")"
				 " VALUES (1, ?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[STMT_TOTALS_GET]      = "SELECT " TOTALS_COLUMNS " FROM totals WHERE one = 1",

	[STMT_FILE_PUT]        = "REPLACE INTO files VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[STMT_FILE_DELETE]     = "DELETE FROM files WHERE id = ?",
	[STMT_FILES_EACH]      = "SELECT * FROM files ORDER BY id",
	[STMT_FILE_PATH]       = "SELECT path FROM files WHERE id = ?",
	[STMT_POSITION_PUT]    = "REPLACE INTO positions VALUES (?,?,?,?,?)",
	[STMT_POSITION_DELETE] = "DELETE FROM positions WHERE file = ?",
	[STMT_POSITIONS_EACH]  = "SELECT * FROM positions ORDER BY file",
	[STMT_ROUTE_PUT]       = "REPLACE INTO routes VALUES (?,?,?,?,?)",
	[STMT_ROUTES_EACH]     = "SELECT * FROM routes ORDER BY id",

	[STMT_HOME_PUT]        = "REPLACE INTO home VALUES (1,?,?,?,?)",
	[STMT_HOME_GET]        = "SELECT machine, boot, dev, inode FROM home WHERE one = 1",
	[STMT_PARTITIONS_PUT]  = "REPLACE INTO partitions VALUES (?,?)",
	[STMT_PARTITIONS_EACH] = "SELECT topic, count FROM partitions ORDER BY topic",

	[STMT_STREAM_ADD]      = "INSERT INTO streams VALUES (?,?,?,?,?)",
	[STMT_STREAMS_EACH]    = "SELECT * FROM streams ORDER BY id",
	[STMT_LEDGER_PUT]      = "REPLACE INTO ledger VALUES (?,?,?,?)",
	[STMT_LEDGER_EACH]     = "SELECT * FROM ledger WHERE id > 0 ORDER BY id",
	[STMT_LEDGER_SLOTS]    = "SELECT ifnull(max(slot) + 1, 0) FROM ledger",

	[STMT_LANE_PUT]        = "REPLACE INTO lanes VALUES (?,?,?,?,?,?)",
	[STMT_LANES_EACH]      = "SELECT * FROM lanes ORDER BY id",
	[STMT_LANE_OLDEST]     = "SELECT spooled_ms FROM rows WHERE lane = ? ORDER BY id LIMIT 1",

	[STMT_ROW_ADD]         = "INSERT INTO rows (" ROW_COLUMNS ") VALUES (?,?,?,?,?,?)",
	[STMT_ROW_MEND]        = "UPDATE rows SET count = ?2, size = ?3, body = ?4 WHERE id = ?1",
	[STMT_ROW_DELETE]      = "DELETE FROM rows WHERE id = ?",
	[STMT_ROW_GET]         = "SELECT " ROW_COLUMNS " FROM rows WHERE id = ?",
	[STMT_ROWS_OF_LANE]    = "SELECT " ROW_COLUMNS " FROM rows WHERE lane = ? AND id > ? ORDER BY id",
	[STMT_ROWS_EACH]       = "SELECT " ROW_COLUMNS " FROM rows WHERE id > ?1 ORDER BY id",
	[STMT_ROW_OLDEST]      = "SELECT id, spooled_ms FROM rows ORDER BY id LIMIT 1",

	[STMT_DATA_ADD]        = "INSERT INTO data VALUES (?,?)",
	[STMT_DATA_DELETE]     = "DELETE FROM data WHERE id = ?",
	[STMT_DATA_GET]        = "SELECT bytes FROM data WHERE id = ?",

	[STMT_LOSS_ADD]        = "INSERT INTO losses VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
	[STMT_LOSS_EXTEND]     = "UPDATE losses SET stop = ?1, bytes = bytes + ?2 WHERE id > ?3 AND file = ?4 AND stop = ?5"
				 " AND reason = ?6 AND topic = ?7 AND partition = ?8",
	[STMT_LOSSES_EACH]     = "SELECT * FROM losses WHERE id > ? ORDER BY id",

	[STMT_REJECTED_ADD]    = "INSERT INTO rejected VALUES (?,?,?,?,?,?,?,?,?,?)",
	[STMT_REJECTED_EACH]   = "SELECT * FROM rejected WHERE id > ? ORDER BY id",
	[STMT_REJECTED_BYTES]  = ("SELECT ifnull(sum(length(bytes) + length(ranges) + length(CAST(topic AS BLOB)) +"
				 " ifnull(length(CAST(message AS BLOB)), 0)), 0), count(*) FROM rejected WHERE id <= ?"),
	[STMT_REJECTED_DELETE] = "DELETE FROM rejected WHERE id <= ?",

	[STMT_CHECK]           = "PRAGMA integrity_check(100)",
	[STMT_CHECK_DATA]      = ("SELECT id FROM data WHERE id NOT IN (SELECT id FROM rows)"
				 " AND id NOT IN (SELECT row_id FROM losses WHERE row_id > 0)"),
	[STMT_CHECK_LOSSES]    = "SELECT ifnull(sum(records), 0) FROM losses WHERE reason <> 'uncertain'",
	[STMT_CHECK_FILES]     = ("SELECT id, 'no position' FROM files WHERE id NOT IN (SELECT file FROM positions) UNION ALL"
				 " SELECT file, 'no name' FROM positions WHERE file NOT IN (SELECT id FROM files)"),
	[STMT_CHECK_IDS]       = ("SELECT ifnull((SELECT max(id) FROM files), 0), ifnull((SELECT max(id) FROM ledger), 0),"
				 " ifnull((SELECT max(id) FROM rows), 0), ifnull((SELECT max(id) FROM losses), 0),"
				 " ifnull((SELECT max(id) FROM rejected), 0)"),
};
