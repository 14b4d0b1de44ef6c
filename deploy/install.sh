#!/bin/bash
# What `make install` does: the program and what it reads at run time, below PREFIX (or DESTDIR/PREFIX for packagers).
#
#   deploy/install.sh PREFIX [DESTDIR]     settings go to /etc/tongguan for PREFIX=/usr, else to PREFIX/etc/tongguan
#
# Nothing that is installed points back into the tree. A tongguan.conf that is there stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${1:?usage: deploy/install.sh PREFIX [DESTDIR]} dest=${2:-}
case $prefix in
/*) ;;
*) echo "install: PREFIX is an absolute path, not '$prefix'" >&2; exit 2 ;;
esac
etc=$prefix/etc/tongguan
[ "$prefix" != /usr ] || etc=/etc/tongguan
share=$prefix/share/tongguan units=$prefix/lib/systemd/system

for made in build/tongguan build/console/manifest.json; do
	[ -f "$made" ] || { echo "install: $made is missing: run make first" >&2; exit 1; }
done

put() { install -D -m "$1" "$2" "$dest$3"; }
tree() { # FROM TO: every file below FROM
	local file
	while IFS= read -r file; do put 644 "$1/$file" "$2/$file"; done < <(cd "$1" && find . -type f ! -path '*/__pycache__/*' -printf '%P\n')
}

put 755 build/tongguan "$prefix/bin/tongguan"
tree schema/cities "$share/schema/cities"
tree schema/feeds "$share/schema/feeds"
put 644 schema/openapi.json "$share/schema/openapi.json"
tree correlate/packs "$share/correlate/packs"
tree build/console "$share/console"
for page in docs/*.md; do put 644 "$page" "$share/doc/$(basename "$page")"; done
for page in README.md README.zh-CN.md LICENSE; do put 644 "$page" "$share/doc/$page"; done
put 644 docs/tongguan.conf "$etc/tongguan.conf.sample"
[ -e "$dest$etc/tongguan.conf" ] || put 640 docs/tongguan.conf "$etc/tongguan.conf"
for unit in deploy/systemd/*.service.in; do
	name=$(basename "$unit" .in)
	install -d "$dest$units"
	sed -e "s|@BIN@|$prefix/bin|" -e "s|@ETC@|$etc|" -e "s|@SHARE@|$share|" "$unit" >"$dest$units/$name"
	chmod 644 "$dest$units/$name"
done
echo "installed below $dest$prefix; settings: $dest$etc/tongguan.conf"
