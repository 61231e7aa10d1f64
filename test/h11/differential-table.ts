// Where we and another parser say different things of the same bytes, and why. A pair of verdicts that fits no row fails
// the test; so does a row that nothing fits.
export type Peer = 'llhttp' | 'http-parser-js'

interface Row {
  readonly peer: Peer
  readonly mode?: 'request' | 'response'
  /** `our end and code / their end and code`, or `differs: parts`. */
  readonly found: RegExp
  readonly wire?: RegExp
  readonly why: string
}

const BOTH_REFUSE_HOST = /^refused (?:invalid|missing)-host \/ complete/
const HEAD_GRAMMAR =
  /^refused (?:field-line|field-name|field-value|space-before-colon|leading-whitespace|obs-fold|bare-lf|bare-cr|status-line|request-line|target|version) \/ (?:complete|incomplete|refused error)/
const UPGRADES = /\r\nconnection:.*upgrade\r\n/
/** Of both: a 101 is judged by what was asked. */
const UNKNOWN_OFFER = {
  mode: 'response',
  found: /^refused unexpected-upgrade \/ complete/,
  wire: /^HTTP\/1\.1 101 |\r\n\r\nHTTP\/1\.1 101 /,
  why: 'it does not know what the request offered (RFC 9110 §7.8)',
} as const

const ROWS: readonly Row[] = [
  {
    peer: 'llhttp',
    mode: 'request',
    found: /^complete \/ refused HPE_INVALID_METHOD/,
    why: 'it knows a list of methods; any token is one (RFC 9110 §9.1)',
  },
  {
    peer: 'llhttp',
    found: /^complete \/ refused HPE_INVALID_CHUNK_SIZE/,
    wire: / ; a=/,
    why: 'it takes no whitespace before a chunk extension, which the grammar has (RFC 9112 §7.1.1)',
  },
  {
    peer: 'llhttp',
    mode: 'response',
    found: /^complete \/ refused HPE_INVALID_HEADER_TOKEN/,
    wire: /\r\n[ \t]/,
    why: 'it refuses folded fields in responses, which a user agent replaces by spaces (RFC 9112 §5.2)',
  },
  {
    peer: 'llhttp',
    mode: 'request',
    found: /^(?:complete|refused [\w-]+) \/ incomplete/,
    wire: UPGRADES,
    why: 'it reads no content of a request that upgrades, so it finds neither its end nor a fault in it (RFC 9110 §7.8)',
  },
  {
    peer: 'llhttp',
    mode: 'request',
    found: /^refused faulty-framing \//,
    wire: / HTTP\/1\.0\r\n/,
    why: 'it takes Transfer-Encoding in HTTP/1.0, which had none (RFC 9112 §6.1)',
  },
  {
    peer: 'llhttp',
    mode: 'request',
    found: BOTH_REFUSE_HOST,
    why: 'it does not look at Host (RFC 9112 §3.2)',
  },
  {
    peer: 'llhttp',
    mode: 'request',
    found: /^refused request-line \/ complete/,
    why: 'it takes a line without a version for HTTP/0.9 (RFC 9112 §2.3)',
  },
  {
    peer: 'llhttp',
    mode: 'response',
    found: /^refused (?:status-line|bare-cr) \/ complete/,
    why: 'it takes control characters in a reason-phrase (RFC 9112 §4)',
  },
  {
    peer: 'llhttp',
    mode: 'response',
    found: /^complete \/ refused HPE_INVALID_CONTENT_LENGTH/,
    wire: /^HTTP\/1\.1 (?:1|204|304)/,
    why: 'it judges a Content-Length where there is no content (RFC 9112 §6.3)',
  },
  {
    peer: 'llhttp',
    ...UNKNOWN_OFFER,
  },
  {
    peer: 'http-parser-js',
    mode: 'request',
    found: /^complete \/ refused (?:error|HPE_INVALID_CONSTANT)/,
    why: 'it knows a list of methods; any token is one (RFC 9110 §9.1)',
  },
  {
    peer: 'http-parser-js',
    found: HEAD_GRAMMAR,
    why: 'it does not check the grammar of heads (RFC 9112 §3 to §5)',
  },
  {
    peer: 'http-parser-js',
    found: /^refused chunk-(?:size|extension|terminator) \/ (?:complete|incomplete|refused)/,
    why: 'it does not check chunk lines, and passes over what ends a chunk (RFC 9112 §7.1)',
  },
  {
    peer: 'http-parser-js',
    found: /^refused (?:faulty-framing|transfer-encoding|conflicting-framing|content-length) \//,
    why: 'it takes any framing that it can read (RFC 9112 §6.1, §6.3)',
  },
  {
    peer: 'http-parser-js',
    mode: 'request',
    found: BOTH_REFUSE_HOST,
    why: 'it does not look at Host (RFC 9112 §3.2)',
  },
  {
    peer: 'http-parser-js',
    mode: 'response',
    found: /^(?:complete \/ refused (?:error|HPE_\w+)|differs: content)/,
    wire: /^HTTP\/1\.1 (?:1|204|304)/,
    why: 'it reads content where there is none (RFC 9110 §6.4.1)',
  },
  {
    peer: 'http-parser-js',
    ...UNKNOWN_OFFER,
  },
  {
    peer: 'http-parser-js',
    mode: 'request',
    found: /^differs: content/,
    wire: UPGRADES,
    why: 'it reads no content of a request that upgrades (RFC 9110 §7.8)',
  },
]

export const REASONS: Readonly<Record<Peer, readonly string[]>> = {
  llhttp: reasonsOf('llhttp'),
  'http-parser-js': reasonsOf('http-parser-js'),
}
function reasonsOf(peer: Peer): string[] {
  return ROWS.filter((row) => row.peer === peer).map(({ why }) => why)
}

/** Why the two differ; undefined: nobody knows. */
export function differenceOf(peer: Peer, mode: string, found: string, wire: string): string | undefined {
  return ROWS.find(
    (row) =>
      row.peer === peer &&
      (row.mode ?? mode) === mode &&
      row.found.test(found) &&
      (row.wire === undefined || row.wire.test(wire)),
  )?.why
}
