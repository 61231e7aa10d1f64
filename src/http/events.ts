// Events: what the peer did, in order. Fresh, immutable, one discriminated union by `type`.
//
// Bytes in an event are lent: valid until the machine's next `receiveData`. Whoever keeps them copies them.
import type { Disposition, PeerFault } from './errors.ts'
import type { Fields } from './fields.ts'
import type { Bytes, ExchangeId, Framing } from './messages.ts'

/**
 * One exchange, in this order: informational*, then response, data*, end (or switched); or, at any point, failed. For a
 * server: request, data*, end, then switched after our 101 or our 2xx to CONNECT. Then nothing (law C3).
 */
export type ExchangeEvent =
  | {
      readonly type: 'request'
      readonly exchange: ExchangeId
      readonly method: string
      readonly scheme: string | undefined
      readonly authority: string | undefined
      readonly target: string
      readonly protocol: string | undefined
      readonly httpVersion: string
      readonly headers: Fields
      readonly framing: Framing
      readonly expectContinue: boolean
      readonly upgrade: string | undefined
    }
  /** 100, 102 to 199. */
  | {
      readonly type: 'informational'
      readonly exchange: ExchangeId
      readonly status: number
      readonly headers: Fields
    }
  /** The final response; 101 too, then 'switched'. */
  | {
      readonly type: 'response'
      readonly exchange: ExchangeId
      readonly status: number
      readonly reasonPhrase: string
      readonly httpVersion: string
      readonly headers: Fields
      readonly framing: Framing
    }
  | { readonly type: 'data'; readonly exchange: ExchangeId; readonly data: Bytes }
  | { readonly type: 'end'; readonly exchange: ExchangeId; readonly trailers: Fields | undefined }
  /** The connection is no longer HTTP/1.1; `leading` came after the head. RFC 9110 §7.8, §9.3.6. */
  | { readonly type: 'switched'; readonly exchange: ExchangeId; readonly leading: Bytes }
  | {
      readonly type: 'failed'
      readonly exchange: ExchangeId
      readonly fault: PeerFault
      readonly disposition: Disposition
    }
  /** `sendData` answered false; now there is room again for this many bytes. */
  | { readonly type: 'writable'; readonly exchange: ExchangeId; readonly room: number }

export type ConnectionEvent =
  /**
   * HTTP/2 alone: how many exchanges could be begun now, after SETTINGS and when there is room again after there was
   * none. In HTTP/1.1 `capacity` changes only with the other events and with verbs.
   */
  | { readonly type: 'slots'; readonly capacity: number }
  /** It will not begin another exchange (Connection: close, GOAWAY …); these were provably not processed. */
  | { readonly type: 'draining'; readonly reason: string; readonly unprocessed: readonly ExchangeId[] }
  /** A clean end. */
  | { readonly type: 'closed'; readonly reason: string }
  /** The peer broke the connection; 'failed' of each running exchange came before. */
  | { readonly type: 'error'; readonly fault: PeerFault }

export type H2OnlyEvent =
  | { readonly type: 'settings'; readonly settings: Readonly<Record<string, number>>; readonly first: boolean }
  | { readonly type: 'settings-ack' }
  | { readonly type: 'ping'; readonly payload: Bytes; readonly ack: boolean }
  | { readonly type: 'goaway'; readonly lastStream: number; readonly h2Code: number; readonly debug: Bytes }
  /** On request: unknown types, PRIORITY, ALTSVC, ORIGIN, PRIORITY_UPDATE. */
  | {
      readonly type: 'frame'
      readonly frameType: number
      readonly flags: number
      readonly stream: number
      readonly payload: Bytes
    }

export type H11OnlyEvent =
  /** On request: the line before the data of each chunk, the last-chunk's too. `extensions`: its chunk-ext, as it stands. RFC 9112 §7.1.1. */
  {
    readonly type: 'chunk'
    readonly exchange: ExchangeId
    readonly size: number
    readonly extensions: string
  }

export type H11Event = ExchangeEvent | ConnectionEvent | H11OnlyEvent
export type H2Event = ExchangeEvent | ConnectionEvent | H2OnlyEvent
