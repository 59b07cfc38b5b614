# Sourced by the commands in bin/: `bootstrap` makes the virtual environments ready.

# 3.14 comes last: one package has no wheel of its own for it (see bin/_bootstrap.py).
find_python() {
    found=""
    for name in python3.13 python3.12 python3.11 python3.14 python3 python; do
        version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null) || continue
        case $version in
            3.11 | 3.12 | 3.13 | 3.14) PYTHON=$name; return 0 ;;
            *) found="$found $name is $version;" ;;
        esac
    done
    if [ -n "$found" ]; then found="Found:$found"; else found="Found none."; fi
    echo "Quorate needs Python 3.11, 3.12, 3.13 or 3.14 on PATH. $found" >&2
    return 1
}

# bootstrap ROOT LOCK...: LOCK is one of ENVIRONMENTS in bin/_bootstrap.py; ROOT is the checkout.
bootstrap() {
    find_python || return 1
    (cd "$1" && shift && PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m bin._bootstrap "$@")
}
