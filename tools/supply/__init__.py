"""What the images are made of: libraries with hashes, bills of materials, and a look for known vulnerabilities."""
