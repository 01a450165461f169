"""UnixFS, CAR, the embedded block store and block exchange."""
