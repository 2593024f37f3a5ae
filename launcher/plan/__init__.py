"""What a run will do, and the seam to where it is done."""
