"""What is learned from: demonstrations as states, and what a method sees in them."""
