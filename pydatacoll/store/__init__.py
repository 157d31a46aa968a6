"""The only package that knows Redis: key names, the model's repository, the data path, commands."""
