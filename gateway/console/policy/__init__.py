"""The pages of the policy: what is live, its history, what it decides, and the patch for what only the file may say."""
