# fish completion for spillway(1).

set -l commands run check status positions spool losses send bench metadata schema version help
set -l reads_config run check status positions spool losses
set -l asks_brokers send bench metadata
set -l prints_json check status positions spool losses bench metadata

function __spillway_command -d 'whether one of these is the command'
    set -l words (commandline -opc)
    set -q words[2]; and contains -- $words[2] $argv
end

function __spillway_first -d 'whether the command is still missing'
    test (count (commandline -opc)) -eq 1
end

function __spillway_verb -d 'whether the word after this command is still missing'
    set -l words (commandline -opc)
    test (count $words) -eq 2; and test $words[2] = $argv[1]
end

complete -c spillway -f
complete -c spillway -n __spillway_first -a run -d 'ship the lines of the configured inputs'
complete -c spillway -n __spillway_first -a check -d 'look at a configuration and what it points to'
complete -c spillway -n __spillway_first -a status -d 'what the agent does now, and why'
complete -c spillway -n __spillway_first -a positions -d 'how far each file is read and finished'
complete -c spillway -n __spillway_first -a spool -d 'what waits on disk for a broker'
complete -c spillway -n __spillway_first -a losses -d 'what was given up or skipped'
complete -c spillway -n __spillway_first -a send -d 'produce one record for each line'
complete -c spillway -n __spillway_first -a bench -d 'measure throughput and latency'
complete -c spillway -n __spillway_first -a metadata -d 'brokers, topics, partitions and leaders'
complete -c spillway -n __spillway_first -a schema -d 'the JSON Schema of the configuration'
complete -c spillway -n __spillway_first -a version -d 'the version, with those of the libraries'
complete -c spillway -n __spillway_first -a help -d 'list the commands, or what one takes'
complete -c spillway -n '__spillway_command help' -a "$commands"
complete -c spillway -s h -l help -d 'what the command takes'

complete -c spillway -n "__spillway_command $reads_config" -s c -l config -r -F -d 'the configuration'
complete -c spillway -n "__spillway_command $reads_config $asks_brokers" -l log-level -x -a 'error warn info debug'
complete -c spillway -n "__spillway_command $prints_json" -l json -d 'for programs'

complete -c spillway -n '__spillway_command run' -l once -d 'read every file to its end, deliver everything, end'
complete -c spillway -n '__spillway_command run' -l timeout -x -a '30s 5m 1h' -d 'with --once: give up after this time'

complete -c spillway -n '__spillway_command check' -l online -d 'also connect: authentication, rights, topics'
complete -c spillway -n '__spillway_command check' -l print -d 'the effective configuration'
complete -c spillway -n '__spillway_command check' -l sample -r -F -d 'the first records that are made of a file'

complete -c spillway -n '__spillway_command status' -l metrics -d 'as Prometheus reads them'
complete -c spillway -n '__spillway_command status' -l watch -d 'again each second'
complete -c spillway -n '__spillway_command status' -l all -d 'all files and lanes'

complete -c spillway -n '__spillway_verb positions' -a 'ls set forget'
complete -c spillway -n '__spillway_command positions; and not __spillway_verb positions' -F
complete -c spillway -n '__spillway_verb spool' -a 'ls export verify purge'
complete -c spillway -n '__spillway_command spool' -l rejected -d 'the records that Kafka never takes'

complete -c spillway -n "__spillway_command $asks_brokers" -s b -l brokers -x -d 'host:port,...'
complete -c spillway -n "__spillway_command $asks_brokers" -s t -l topic -x -d 'the topic'
complete -c spillway -n "__spillway_command $asks_brokers" -s F -r -F -d 'producer settings, a properties file'
complete -c spillway -n "__spillway_command $asks_brokers" -s X -x -d 'a producer setting, NAME=VALUE'
complete -c spillway -n "__spillway_command $asks_brokers" -l preset -x \
    -a 'balanced max-throughput min-latency max-reliability' -d 'settings of a preset'
complete -c spillway -n '__spillway_command send bench' -s z -x -a 'none gzip snappy lz4 zstd' -d 'the codec'

complete -c spillway -n '__spillway_command send' -F
complete -c spillway -n '__spillway_command send' -s k -x -d 'the key of every record'
complete -c spillway -n '__spillway_command send' -s K -x -d 'what ends a key in a line'
complete -c spillway -n '__spillway_command send' -s p -x -d 'the partition'
complete -c spillway -n '__spillway_command send' -s H -x -d 'a header of every record, NAME=VALUE'
complete -c spillway -n '__spillway_command send' -l report -x -a json -d 'print where each record went'
complete -c spillway -n '__spillway_command send' -l stats -d 'print records per partition at the end'

complete -c spillway -n '__spillway_command bench' -l num-records -x -d 'how many'
complete -c spillway -n '__spillway_command bench' -l record-size -x -d 'bytes in each'
complete -c spillway -n '__spillway_command bench' -l payload-file -r -F -d 'its lines are the records'
complete -c spillway -n '__spillway_command bench' -l throughput -x -d 'at most so many records a second'
complete -c spillway -n '__spillway_command bench' -l print-metrics -d 'metrics at the end'
