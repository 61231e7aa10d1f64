// httpcore/conformance: what a network of one's own must hold to, as named checks for any test runner.
export { conformance, dial, Recorder } from './drivers/networks/conformance.ts'
export type { Check, Peer, PeerIdentity, PeerScript, PeerTls, Subject } from './drivers/networks/conformance.ts'
export type { Link, Network, NetworkCapabilities, Sink } from './drivers/network.ts'
