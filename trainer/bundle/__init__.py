"""What a bundle holds for people: the card and the plots."""
