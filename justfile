# Recipes are one line each; everything also runs without just.

# Set up, build, start all services, load the sample, show it
up:
    scripts/up

# Stop what `up` started
down:
    scripts/down

# All checks, as CI runs them
verify:
    scripts/verify

# Smokes alone, over what is built: just smoke d4 d5
smoke *names:
    scripts/smokes {{names}}

# The long loops: crashes, models, big files
soak *names:
    scripts/soak/run {{names}}

# Binaries to install
release:
    scripts/build --release
