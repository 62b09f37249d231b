"""The steps of the proof, one module each. A step yields facts as it finds them, so that none is lost if it fails."""
