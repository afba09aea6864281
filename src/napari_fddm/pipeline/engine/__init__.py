"""The process that runs the models: its client, its server, the messages between them."""
