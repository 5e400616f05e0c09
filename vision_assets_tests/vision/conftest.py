from hypothesis import settings

# On a busy machine an example may take long; how long is not what these tests are about.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
