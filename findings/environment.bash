# Sourced by the scripts: `environment MAJOR.MINOR PACKAGE==VERSION ...` makes a temporary environment of a Python of at least
# that version, and sets $python.
environment() {
  local lowest=$1 candidate
  shift
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 "$HOME"/.pyenv/versions/3.1[1-9]*/bin/python; do
    command -v "$candidate" > /dev/null || continue
    "$candidate" -c "import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$lowest'.split('.'))))" 2> /dev/null && break
    candidate=
  done
  [[ -n $candidate ]] || { echo "needs Python $lowest or newer; set PYTHON"; exit 2; }
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  "$candidate" -m venv "$folder/env"
  python=$folder/env/bin/python
  "$python" -m pip install -q "$@"
  cd "$folder"
}
