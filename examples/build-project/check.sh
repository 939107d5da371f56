#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check.sh JOT: asks the program some questions with known answers.
jot=$1
bad=0

ask() {
	got=$(printf '%s' "$1" | "$jot" "$2" 2>&1 | tr -d ' \n')
	if [ "$got" != "$3" ]; then
		echo "jot '$2' over $1: got $got, not $3"
		bad=1
	fi
}

ask '{"a":[1,2,3],"b":{"c":4}}' 'sum(a) + b.c * 2' 14
ask '{"a":[3,1,2]}' 'sort(a)[0] == 1 && max(a) > 2' true
ask '{"s":"h\u00e9"}' 'length(s) ^ 3 ^ 2' 512
ask '{"x":null}' 'x ? 1 : keys(x)' 'jot:afunctiongotthewrongarguments'
ask '{"x":' 'x' 'jot:line1,column6:notanumber'
[ $bad = 0 ] && echo "jot: all answers are right"
exit $bad
