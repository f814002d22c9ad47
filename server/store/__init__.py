"""What is kept of predictions, also after their end."""
