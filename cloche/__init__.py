"""The `cloche` command: it joins the training and the serving commands, and nothing else imports both."""
