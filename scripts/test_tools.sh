#!/usr/bin/env bash
# What some tests need beside Python: Chromium (the report), pdflatex (tables), and the W3C's validator (pages).
# Those that cannot be had are named, and their tests skip by name. CI calls this; `make test` alone does not.
set -uo pipefail
cd "$(dirname "$0")/.."
VNU=vnu-jar@26.9.27

want=()
command -v chromium >/dev/null || command -v google-chrome >/dev/null || want+=(chromium)
kpsewhich booktabs.sty >/dev/null 2>&1 || want+=(texlive-latex-base texlive-latex-recommended lmodern)
command -v java >/dev/null || want+=(default-jre-headless)
if [ ${#want[@]} -gt 0 ]; then
  echo "test tools: installing ${want[*]}"
  root=; [ "$(id -u)" = 0 ] || root="sudo -n"
  $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null ||
    echo "test tools: no ${want[*]}; run: sudo apt-get install -y ${want[*]}"
fi

if [ ! -f .tools/vnu.jar ]; then
  mkdir -p .tools
  (cd .tools && archive=$(npm pack --silent "$VNU") && tar -xzf "$archive" --strip-components=3 package/build/dist/vnu.jar &&
    rm -f "$archive") || echo "test tools: no $VNU (npm is needed to fetch it)"
fi

# timm, and the torchvision that it imports, in a folder of their own: the torchvision of PyPI is built for CUDA, and
# beside a torch for CPUs transformers could not be imported in the tests' environment (baselines/hub/packages.py)
if [ ! -d .tools/timm/site-packages/timm ]; then
  for python in "${VENV:-.venv}/bin/python" "${PYTHON:-}" python3.11 python3.12 python3; do
    command -v "$python" >/dev/null 2>&1 && "$python" -m pip --version >/dev/null 2>&1 && break
  done
  # shellcheck disable=SC2046
  "$python" -m pip --disable-pip-version-check install -q --no-deps --target .tools/timm/site-packages \
    $(grep -E '^(timm|torchvision)==' constraints.txt) || echo "test tools: no timm; its tests skip"
fi
