"""The `cloche` command: it joins training and serving, and nothing else imports both."""
