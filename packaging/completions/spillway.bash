# bash completion for spillway(1): commands, options, and the values that are from a fixed set.
# shellcheck shell=bash

# The options of a command. A test compares them with `spillway help COMMAND`.
_spillway_options()
{
	case $1 in
	run)       echo "-c --config --once --timeout --log-level" ;;
	check|-t)  echo "-c --config --online --print --sample --json --log-level" ;;
	status)    echo "-c --config --json --metrics --watch --all --log-level" ;;
	positions) echo "-c --config --json --log-level" ;;
	spool)     echo "-c --config --rejected --json --log-level" ;;
	losses)    echo "-c --config --json --log-level" ;;
	send)      echo "-b --brokers -t --topic -F -X --preset -k -K -p -H -z --report --stats --log-level" ;;
	bench)     echo "-b --brokers -t --topic -F -X --preset -z --num-records --record-size --payload-file" \
			"--throughput --print-metrics --json --log-level" ;;
	metadata)  echo "-b --brokers -t --topic -F -X --preset --json --log-level" ;;
	esac
	echo "-h --help"
}

_spillway_commands="run check status positions spool losses send bench metadata schema version help"

_spillway_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_spillway_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

# The value of the option before the cursor. Fails when that takes none.
_spillway_value()
{
	case $1 in
	-c|--config|-F|--sample|--payload-file) _spillway_files ;;
	-z)          _spillway_words "none gzip snappy lz4 zstd" ;;
	--preset)    _spillway_words "balanced max-throughput min-latency max-reliability" ;;
	--log-level) _spillway_words "error warn info debug" ;;
	--report)    _spillway_words "json" ;;
	--timeout)   _spillway_words "30s 5m 1h" ;;
	-b|--brokers|--topic|-X|-k|-K|-p|-H|--num-records|--record-size|--throughput) COMPREPLY=() ;;
	-t)          [[ ${COMP_WORDS[1]} == -t ]] && return 1; COMPREPLY=() ;;	# `spillway -t` is `check`
	*)           return 1 ;;
	esac
}

_spillway()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_spillway_words "$_spillway_commands --help --version"
		return
	fi
	_spillway_value "$prev" && return
	if [[ $cur == -* ]]; then
		_spillway_words "$(_spillway_options "$command")"
		return
	fi
	case $command:$prev in
	help:*)             _spillway_words "$_spillway_commands" ;;
	positions:positions) _spillway_words "ls set forget" ;;
	positions:set|positions:forget) _spillway_files ;;
	spool:spool)        _spillway_words "ls export verify purge" ;;
	send:*)             _spillway_files ;;
	positions:*)
		if [[ ${COMP_WORDS[COMP_CWORD-2]} == set ]]; then
			_spillway_words "end 0"
		fi
		;;
	esac
}
complete -F _spillway spillway
