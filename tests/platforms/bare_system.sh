# Sourced: a bare Debian in a folder, with the apt settings of this machine.
#   make_base SUITE       makes it once, in $platforms/SUITE.base
#   make_bare SUITE NAME  a fresh copy of it, in $platforms/SUITE.NAME
#   enter SUITE NAME COMMAND...  runs a command there, in its /home/orrery if there is one
# Everything is mounted in a namespace of the command's own, so nothing is left mounted. Needs root and debootstrap.
platforms=${ORRERY_PLATFORMS:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/platforms}

# Where this machine gets its packages from.
mirror() {
  { cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '$1 == "URIs:" { print $2 }'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '$1 == "deb" { print $(NF > 3 && $2 ~ /^\[/ ? 3 : 2) }'
    echo http://deb.debian.org/debian; } | grep '/debian/*$' | head -n 1
}

make_base() {
  local suite=$1 base=$platforms/$1.base
  [ ! -e "$base/.complete" ] || return 0
  command -v debootstrap >/dev/null || { apt-get update && apt-get install -y --no-install-recommends debootstrap; } >/dev/null
  rm -rf "$base"
  mkdir -p "$platforms"
  debootstrap --variant=minbase --include=ca-certificates,git "$suite" "$base" "$(mirror)" >"$base.log" 2>&1 ||
    { tail -n 5 "$base.log"; return 1; }
  echo "deb $(mirror) $suite main" >"$base/etc/apt/sources.list"
  cp /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf.d/99* "$base/etc/apt/apt.conf.d/" 2>/dev/null || true
  mkdir -p "$base/usr/local/share/ca-certificates"
  cp /usr/local/share/ca-certificates/*.crt "$base/usr/local/share/ca-certificates/" 2>/dev/null || true
  chroot "$base" update-ca-certificates >/dev/null 2>&1 || true
  touch "$base/.complete"
}

make_bare() {
  make_base "$1"
  rm -rf "${platforms:?}/$1.$2"
  cp -a "$platforms/$1.base" "$platforms/$1.$2"
}

enter() {
  local root=$platforms/$1.$2 registry
  shift 2
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  registry=$(npm config get registry 2>/dev/null || true)
  unshare --mount bash -c '
    set -e
    root=$1; shift
    mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount -t sysfs sys "$root/sys" 2>/dev/null || true
    exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C.UTF-8 "$@"' _ \
    "$root" ${registry:+npm_config_registry=$registry} NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    $(env | grep -iE '^(https?|no)_proxy=' | tr '\n' ' ') \
    bash -c 'cd /home/orrery 2>/dev/null || cd; "$@"' _ "$@"
}
