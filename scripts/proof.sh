#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make proof: checks the proofs of moments and one-word (proof/*.v) with Coq into build/proof,
# asks what its theorems assume, which must be nothing, has Coq compute what the
# C functions compute (proof/compare.c), and prints one line per theorem: its
# name and the sentence before it, "(** claim: ... *)".
set -eu
cd "$(dirname "$0")/.."
work=build/proof
rm -rf "$work"
mkdir -p "$work"
# From inside the folder, where Coq leaves its caches.
compile() {
	(cd "$work" && coqc -q -noglob -R ../../proof Quire -R . Quire -o "$1" "$2")
}

# In the order in which one needs the other.
for part in Moments Word Updates OneWord; do
	compile "$part.vo" "../../proof/$part.v"
	awk -v part=$part '
		function fail(what) { print "proof: proof/" part ".v:" NR ": " what >"/dev/stderr"; exit 1 }
		claim != "" && !/^Theorem / { fail("a claim without its theorem") }
		/^Theorem / {
			sub(/:$/, "", $2)
			if (claim == "") fail($2 " has no claim before it")
			print part "." $2 "\t" claim
			claim = ""
		}
		/^\(\*\* claim: .* \*\)$/ { claim = substr($0, 12, length($0) - 14) }
		' "proof/$part.v" >>"$work/claims"
done

# What all of them together stand on.
{
	echo "From Quire Require Import Moments Word Updates OneWord."
	printf 'Definition claims := (0'
	cut -f 1 "$work/claims" | while read -r name; do printf ', @%s' "$name"; done
	printf ').\nPrint Assumptions claims.\n'
} >"$work/Assumptions.v"
compile Assumptions.vo Assumptions.v >"$work/assumptions"
if [ "$(cat "$work/assumptions")" != "Closed under the global context" ]; then
	echo "proof: something is assumed and not proved:" >&2
	cat "$work/assumptions" >&2
	exit 1
fi

# The functions the theorems speak of, beside those of the core.
${CC:-cc} -std=gnu17 -Wall -Wextra -Wconversion -Wshadow -Werror -Iinclude -Icore \
	-Imachine/threads/include -o "$work/compare" proof/compare.c
"$work/compare" >"$work/Compare.v"
if ! compile Compare.vo Compare.v; then
	echo "proof: core/sharing/{moments,one_word}.h and proof/{Word,OneWord}.v differ: see $work/Compare.v" >&2
	exit 1
fi

while IFS="$(printf '\t')" read -r name claim; do
	printf '%-36s %s\n' "$name" "$claim"
done <"$work/claims"
echo "proof: $(wc -l <"$work/claims") theorems, no axioms; the C functions agree on $(grep -c '^  says' "$work/Compare.v") words"
