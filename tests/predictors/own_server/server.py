raise AssertionError("this is not what `server` means")
