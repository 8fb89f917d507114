//! A permit is made by policy, and nowhere else.

fn forge(request: keep_types::Request) -> keep_policy::Permit {
    let (job, releases) = (keep_types::JobId::fresh(), keep_policy::PlaintextClasses::ALL);
    keep_policy::Permit { request, job, repeat: false, releases }
}

fn forge_by_function(request: keep_types::Request) -> keep_policy::Permit {
    keep_policy::Permit::new(request, keep_types::JobId::fresh(), false)
}

fn main() {}
