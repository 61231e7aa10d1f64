// Every way in which a peer can break HTTP/1.1, as one table: code, rule, the status that a server answers with, words.
// Codes are stable; words are not.
import type { PeerFault } from '../http/index.ts'

type Spec = readonly [rule: string, status: number, says: string]

const FAULTS = {
  // ── the start-line ──
  'request-line': ['RFC 9112 §3', 400, 'the request-line is malformed'],
  'status-line': ['RFC 9112 §4', 400, 'the status-line is malformed'],
  version: ['RFC 9112 §2.3', 505, 'the HTTP version is neither 1.1 nor 1.0'],
  target: ['RFC 9112 §3.2', 400, 'the request-target is malformed'],
  'missing-host': ['RFC 9112 §3.2', 400, 'the request lacks a Host field'],
  'repeated-host': ['RFC 9112 §3.2', 400, 'the request has more than one Host field'],
  'invalid-host': ['RFC 9112 §3.2', 400, 'the Host field is malformed'],
  expectation: ['RFC 9110 §10.1.1', 417, 'the request expects something other than 100-continue'],
  // ── field lines ──
  'bare-lf': ['RFC 9112 §2.2', 400, 'a line ends with a bare LF'],
  'bare-cr': ['RFC 9112 §2.2', 400, 'a CR is not followed by LF'],
  'leading-whitespace': ['RFC 9112 §2.2', 400, 'there is whitespace between the start-line and the first field'],
  'field-line': ['RFC 9112 §5', 400, 'a field line has no colon'],
  'field-name': ['RFC 9110 §5.1', 400, 'a field name is not a token'],
  'space-before-colon': ['RFC 9112 §5.1', 400, 'there is whitespace between a field name and its colon'],
  'field-value': ['RFC 9110 §5.5', 400, 'a field value holds a control character'],
  'obs-fold': ['RFC 9112 §5.2', 400, 'a field value is folded over several lines'],
  // ── framing ──
  'content-length': ['RFC 9112 §6.3', 400, 'Content-Length is not one decimal number up to 2^53−1'],
  'transfer-encoding': ['RFC 9112 §6.1', 400, 'Transfer-Encoding is not exactly one final chunked'],
  'transfer-coding': ['RFC 9112 §6.1', 501, 'the content has a transfer coding other than chunked'],
  'conflicting-framing': ['RFC 9112 §6.1', 400, 'the request has both Content-Length and Transfer-Encoding'],
  'faulty-framing': ['RFC 9112 §6.1', 400, 'an HTTP/1.0 request has Transfer-Encoding'],
  'chunk-size': ['RFC 9112 §7.1', 400, 'a chunk-size is not 1 to 16 hexadecimal digits up to 2^53−1'],
  'chunk-extension': ['RFC 9112 §7.1.1', 400, 'a chunk extension is malformed'],
  'chunk-terminator': ['RFC 9112 §7.1', 400, 'the data of a chunk is not followed by CRLF'],
  'incomplete-message': ['RFC 9112 §8', 400, 'the connection ended in the middle of a message'],
  'server-disconnected': ['RFC 9112 §8', 400, 'the server closed the connection without sending a response'],
  'surplus-bytes': ['RFC 9112 §9.2', 400, 'bytes arrived that belong to no response'],
  'unexpected-upgrade': ['RFC 9110 §7.8', 400, 'the server switched to a protocol that the request did not offer'],
  // ── limits ──
  'limit-request-line': ['RFC 9112 §3', 414, 'the request-line is too long'],
  'limit-empty-lines': ['RFC 9112 §2.2', 400, 'too many empty lines precede the request-line'],
  'limit-head': ['RFC 9110 §5.4', 431, 'the head is too large'],
  'limit-header-count': ['RFC 9110 §5.4', 431, 'the head has too many fields'],
  'limit-informational': ['RFC 9110 §15.2', 400, 'too many informational responses precede the final one'],
  'limit-content': ['RFC 9110 §15.5.14', 413, 'the content is too large'],
  'limit-chunk-line': ['RFC 9112 §7.1.1', 413, 'a chunk-size line is too long'],
  'limit-chunk-extension': ['RFC 9112 §7.1.1', 413, 'the chunk extensions of the message are too long'],
  'limit-trailer': ['RFC 9110 §5.4', 431, 'the trailer section is too large'],
  'limit-trailer-count': ['RFC 9110 §5.4', 431, 'the trailer section has too many fields'],
} as const satisfies Record<string, Spec>

export type FaultCode = keyof typeof FAULTS

/** The detail of a fault that one byte makes. */
export function byteDetail(byte: number): string {
  return `: byte 0x${byte.toString(16).padStart(2, '0')}`
}

/**
 * @param offset in the bytes that the connection received
 * @param detail safe to print
 */
export function peerFault(code: FaultCode, offset: number, detail: string): PeerFault {
  const [rule, status, says] = FAULTS[code]
  return { code, rule, message: says + detail, scope: 'connection', offset, status }
}
