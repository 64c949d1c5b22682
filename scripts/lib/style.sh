# What scripts/format and scripts/lint share. Source this after common.sh and python.sh.

# Hand-written C and C++, tracked or new; generated files keep the generator's form.
style_c_sources() {
  git -C "$root" ls-files --cached --others --exclude-standard -- '*.c' '*.h' '*.cpp' '*.hpp' |
    grep -v -e '/generated/' -e 'generated_' | while read -r file; do [ -e "$root/$file" ] && printf '%s\n' "$file"; done
}

style_need_ruff() {
  [ -x "$python_venv/bin/ruff" ] || "$python_venv/bin/pip" install --disable-pip-version-check --quiet ruff
}
