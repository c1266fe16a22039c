"""What a site's stack is started with: certificates, passwords, tokens, access list, settings."""
