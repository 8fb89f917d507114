//! What an addon of Node needs from the linker.

fn main() {
    napi_build::setup();
}
