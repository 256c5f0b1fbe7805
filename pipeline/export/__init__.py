"""Makes the files in `result/`: the layered file, the contact sheet, the preview page, the manifest."""
