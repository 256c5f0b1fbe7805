-- Multiplane (io.multiplane.make-layers): a droplet. Drop pictures on it, and they become layers.
-- `multiplane service install --quick-action` compiles it with osacompile, with make-layers.sh in its Resources.
-- Only ASCII in here: osacompile takes a file without a mark for one in the Mac's old encoding.

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
	display dialog "Drop pictures on this icon, and they become layers." with title "Multiplane" buttons {"OK"} default button 1
end run
