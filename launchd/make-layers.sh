# Multiplane (io.multiplane.make-layers): copies the pictures it is given into the inbox in the safe way. For zsh and bash.
# `multiplane service install --quick-action` fills in the five settings below. By hand: replace CHECKOUT with the absolute path
# of the checkout, and keep the quotes.
python='CHECKOUT/.venv/bin/python'
home='CHECKOUT'
outbox='CHECKOUT/outbox'
# yes: wait for the layers, then show them in Finder. no: end at once; a notification appears when they are there.
waits=no
# What makes this script again when the program was moved.
again='NEW_FOLDER/.venv/bin/multiplane service install --quick-action'

if [ ! -x "$python" ]; then
  printf "Multiplane is no longer at %s. Run this in Terminal, with its new folder for NEW_FOLDER: %s\n" "$python" "$again" >&2
  exit 1
fi
submit() {
  "$python" -P -m daemon.cli submit --home "$home" "$@"
}
if [ "$waits" != yes ]; then
  submit -- "$@"
  exit
fi
# One line for each completed job: its id, a colon, and the folder with the result.
results=$(submit --wait -- "$@")
ended=$?
if [ "$#" -eq 1 ] && [ -n "$results" ]; then
  open "${results#*: }"
elif [ -n "$results" ]; then
  open "$outbox/index.html"
fi
exit "$ended"
