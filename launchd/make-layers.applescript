-- Multiplane (io.multiplane.make-layers): a droplet. Drop pictures on it to turn them into layers.
-- `multiplane service install --quick-action` compiles it with osacompile, with make-layers.sh in its Resources.
-- Keep this file in ASCII: without a byte-order mark, osacompile reads a file in the old Mac encoding.

on open pictures
	set theCommand to "/bin/zsh " & quoted form of POSIX path of (path to resource "make-layers.sh")
	repeat with thePicture in pictures
		set theCommand to theCommand & space & quoted form of POSIX path of thePicture
	end repeat
	try
		do shell script theCommand
	on error theReason
		display alert "Multiplane" message theReason as critical
	end try
end open

on run
	display dialog "Drop pictures on this icon to turn them into layers." with title "Multiplane" buttons {"OK"} default button 1
end run
