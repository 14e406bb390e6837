"""Looking back: is what was delivered still the whole report, and do its slices cover a window?"""
