"""OpenSlide in processes of its own: a damaged file that kills it does not kill the program."""
