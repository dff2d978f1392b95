"""SecretFlow SPU's ABY3 behind multiparty computation: runs in an environment of its own."""
