"""What one person alone must not do, and when two have agreed to it."""
