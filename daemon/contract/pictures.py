"""Names the formats of pictures that can be dropped, for sentences."""

PICTURES_IN_WORDS = "JPEG, PNG, WebP, TIFF, HEIC, AVIF, PSD, BMP or GIF"
