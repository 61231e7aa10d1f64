// Input and Command: the whole outer contract of the pool. A driver is a loop,
//
//   pool.handle(input, now); while (command = pool.poll()) perform(command); one timer at pool.nextTimeout()
//
// and everything else is inside. Nothing here is a function: a command can be recorded, replayed and compared.
import type {
  Bytes,
  ContentPlan,
  ExchangeEvent,
  FieldsInit,
  Millis,
  Origin,
  OwnedBytes,
  RequestHead,
} from '../http/index.ts'

export type LinkId = number
export type RequestId = number

/** What a network knows of a link; a snapshot, valid for ever. */
export interface LinkInfo {
  readonly localAddress?: string | undefined
  readonly remoteAddress?: string | undefined
  readonly tlsVersion?: string | undefined
  readonly cipher?: string | undefined
  readonly alpn?: string | undefined
  /** DER. */
  readonly peerCertificate?: OwnedBytes | undefined
}
export interface TlsTarget {
  /** For the check of the certificate, and for SNI unless it is an IP literal (RFC 6066 §3). */
  readonly serverName: string | undefined
  readonly alpn: readonly string[]
  /** The user's, passed through to the network and never changed. */
  readonly options: unknown
}
/**
 * With `tls` the handshake follows by itself: 'connected' at TCP, then 'secured'. A race of addresses ends at the first
 * 'connected'; a failure after it has side 'tls'.
 */
export interface ConnectTarget {
  readonly address?: string | undefined
  readonly port?: number | undefined
  /** Of a Unix socket; an initial NUL: an abstract one. */
  readonly path?: string | undefined
  readonly localAddress?: string | undefined
  readonly socketOptions?: unknown
  readonly tls?: TlsTarget | undefined
}
/** Infinity: off. */
export interface Timeouts {
  readonly pool: Millis
  readonly connect: Millis
  readonly write: Millis
  readonly read: Millis
  readonly total: Millis
}
export type LinkSide = 'connect' | 'tls' | 'read' | 'write'

export type PoolInput =
  // ── from the interface ──
  | {
      readonly type: 'request'
      readonly id: RequestId
      readonly origin: Origin
      readonly head: RequestHead
      readonly content: ContentPlan
      /** The content source can be called again. */
      readonly replayable: boolean
      readonly timeouts: Timeouts
      readonly expectContinue: boolean
      readonly sniHostname?: string | undefined
      /** Whether anybody listens to `trace` commands of this request. */
      readonly trace: boolean
    }
  /** One chunk, after `pullContent`; not to be changed until the request settles. */
  | { readonly type: 'content'; readonly id: RequestId; readonly data: Bytes }
  | { readonly type: 'contentEnd'; readonly id: RequestId; readonly trailers?: FieldsInit | undefined }
  | { readonly type: 'contentFailed'; readonly id: RequestId; readonly error: unknown }
  /** The reader has used so many delivered bytes. */
  | { readonly type: 'consumed'; readonly id: RequestId; readonly bytes: number }
  /** Read and drop what is left, up to `limit` bytes (`drainBytes`) and for at most `drainTimeout`, so that the connection lives. */
  | { readonly type: 'drain'; readonly id: RequestId; readonly limit?: number | undefined }
  /** On a switched exchange; answered by a delivered 'secured'. */
  | { readonly type: 'startTls'; readonly id: RequestId; readonly tls: TlsTarget }
  | { readonly type: 'cancel'; readonly id: RequestId; readonly reason: unknown }
  | { readonly type: 'closeIdle' }
  | { readonly type: 'close'; readonly grace: Millis }
  | { readonly type: 'destroy'; readonly reason?: unknown }
  // ── from the network ──
  | { readonly type: 'resolved'; readonly host: string; readonly addresses: readonly string[] }
  | { readonly type: 'resolveFailed'; readonly host: string; readonly error: unknown }
  | { readonly type: 'connected'; readonly link: LinkId; readonly info: LinkInfo }
  | { readonly type: 'secured'; readonly link: LinkId; readonly info: LinkInfo }
  /** Lent until every `deliver` that follows was performed. */
  | { readonly type: 'received'; readonly link: LinkId; readonly data: Bytes }
  | { readonly type: 'drained'; readonly link: LinkId; readonly bytes: number }
  | { readonly type: 'eof'; readonly link: LinkId; readonly clean?: boolean | undefined }
  /** After side 'write', received and eof may follow until closed. */
  | { readonly type: 'failed'; readonly link: LinkId; readonly error: unknown; readonly side: LinkSide }
  | { readonly type: 'closed'; readonly link: LinkId }
  /** All that had come when `catchUp` was polled has been told. */
  | { readonly type: 'caughtUp'; readonly link: LinkId }
  | { readonly type: 'timeout' }

/** What reaches the owner of a request. After 'switched': raw bytes are 'data', the peer's end is 'end'. */
export type DeliveredEvent =
  | Extract<ExchangeEvent, { type: 'informational' | 'response' | 'data' | 'end' | 'switched' }>
  | { readonly type: 'secured'; readonly info: LinkInfo }

export type Settlement = { readonly ok: true } | { readonly ok: false; readonly error: unknown }

export type PoolCommand =
  // ── to the network ──
  | { readonly type: 'resolve'; readonly host: string }
  | { readonly type: 'connect'; readonly link: LinkId; readonly target: ConnectTarget }
  | { readonly type: 'startTls'; readonly link: LinkId; readonly tls: TlsTarget }
  /** At the end of the turn, all of one turn together. */
  | { readonly type: 'write'; readonly link: LinkId; readonly chunks: readonly Bytes[] }
  /** Half-close after what was written. */
  | { readonly type: 'end'; readonly link: LinkId }
  | {
      readonly type: 'pauseReading' | 'resumeReading' | 'ref' | 'unref' | 'close' | 'destroy'
      readonly link: LinkId
    }
  /** Answered by `caughtUp`; only with the setting of that name. */
  | { readonly type: 'catchUp'; readonly link: LinkId }
  // ── to the interface ──
  /** openContent: call the source (again, on a replay). pullContent: room for one more chunk. stopContent: return it. */
  | { readonly type: 'openContent' | 'pullContent' | 'stopContent'; readonly id: RequestId }
  | {
      readonly type: 'assigned'
      readonly id: RequestId
      readonly link: LinkId
      readonly reused: boolean
      readonly httpVersion: string
      readonly info: LinkInfo
    }
  | { readonly type: 'deliver'; readonly id: RequestId; readonly event: DeliveredEvent }
  /** The request is over; its id is never heard of again. */
  | {
      readonly type: 'settle'
      readonly id: RequestId
      readonly result: Settlement
      readonly timings: Readonly<Record<string, Millis>>
      /** On the wire, in its last attempt: heads, content and trailers with all that frames them. */
      readonly bytesSent: number
      readonly bytesReceived: number
    }
  | { readonly type: 'trace'; readonly event: TraceEvent }
  /** Nothing is left: `close` and `destroy` are done. */
  | { readonly type: 'closed' }

export interface TraceEvent {
  /** httpcore's: 'connection.connect_tcp.started' … */
  readonly name: string
  readonly time: Millis
  readonly request?: RequestId | undefined
  readonly connection?: LinkId | undefined
  readonly info?: Readonly<Record<string, unknown>> | undefined
}
