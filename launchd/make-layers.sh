# Multiplane (io.multiplane.make-layers): puts the pictures it is given into the inbox, the safe way. For zsh and bash.
# `multiplane service install --quick-action` fills in the four lines below. By hand: replace CHECKOUT by the absolute path of the
# checkout, and keep the quotes.
python='CHECKOUT/.venv/bin/python'
home='CHECKOUT'
outbox='CHECKOUT/outbox'
# yes: wait until the layers are there, then show them in Finder. no: end at once; a notification tells when they are there.
waits=no

if [ ! -x "$python" ]; then
  printf "Multiplane is not at %s any more. Run in its new place: multiplane service install --quick-action\n" "$python" >&2
  exit 1
fi
submit() {
  "$python" -P -m daemon.cli submit --home "$home" "$@"
}
if [ "$waits" != yes ]; then
  submit -- "$@"
  exit
fi
# A line for each picture that became layers: its job's id, a colon, and the folder with the result.
told=$(submit --wait -- "$@")
ended=$?
if [ "$#" -eq 1 ] && [ -n "$told" ]; then
  open "${told#*: }"
elif [ -n "$told" ]; then
  open "$outbox/index.html"
fi
exit "$ended"
