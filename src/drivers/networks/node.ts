// The network of Node (and of Bun and Deno, which carry node:net and node:tls): TCP, Unix sockets, TLS.
//
// Reading goes through `onread` into one buffer per thread, the 'data' path remains for the other two, and where TLS lies
// over a socket that exists already (node:tls ignores `onread` there). Writing: what waits leaves as one corked batch, one
// batch at a time, so that what the system has accepted is known. An error listener is there from birth to close.
//
// Node destroys a socket when a write fails, and with it whatever the peer had said before it stopped listening. Here
// the writing half dies alone, so that an early response is still read.
//
// It knows no HTTP and no deadline. What it cannot do: tell a TLS end with close_notify from one without; let the
// process end while a connect or a look-up is under way (libuv counts the request, unref'd or not).
import type { Socket, SocketConnectOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isIPv4, type Bytes, type Millis } from '../../http/index.ts'
import type { ConnectTarget, LinkInfo, LinkSide, TlsTarget } from '../../pool/lean.ts'
import type { Link, Network, NetworkCapabilities, Sink } from '../network.ts'
import { needed } from '../shared/builtin.ts'
import { soon } from '../shared/soon.ts'
import { clearInterval, clearTimeout, now, setImmediate, setInterval, setTimeout } from '../shared/time.ts'
import { deliver, flush, nextBuffer, READ_BYTES, release } from './buffers.ts'
import type { Receiver } from './buffers.ts'
import { refusal, TlsClient, tlsInfo } from './tls.ts'
import type { Carrier } from './tls.ts'

/** What setTimeout takes at most; a longer wait is a chain of them. */
const MAX_DELAY = 2 ** 31 - 1
/** The system counts whole seconds in 15 bits. Below one, or above, Node or it would take its own default: two hours. */
const MAX_KEEP_ALIVE = 32_767_000
/** How often a write that does not get through is looked at. */
const PROGRESS_INTERVAL = 500

let network: Network | undefined

/** The network of this thread; always the same one. */
export function nodeNetwork(): Network {
  return (network ??= new NodeNetwork())
}

class NodeNetwork implements Network {
  readonly can: NetworkCapabilities = {
    alpn: true,
    sni: true,
    startTls: true,
    halfClose: true,
    unix: true,
    closeNotify: false,
  }
  readonly #tls = new TlsClient()
  readonly now = now

  timer(at: Millis, fire: () => void, keepAlive: boolean): () => void {
    let handle: NodeJS.Timeout | undefined
    const arm = (): void => {
      const delay = Math.ceil(at - this.now())
      handle = setTimeout(due, Math.min(Math.max(delay, 0), MAX_DELAY))
      if (!keepAlive) handle.unref()
    }
    // Node counts from the beginning of the turn: after a long one the timer is early.
    const due = (): void => (at - this.now() >= 1 ? arm() : this.caughtUp(fired))
    // What came in time is told first, however long this thread was busy.
    const fired = (): void => {
      if (handle !== undefined) fire()
    }
    arm()
    return () => {
      clearTimeout(handle)
      handle = undefined
    }
  }

  resolve(host: string, done: (error: unknown, addresses: readonly string[]) => void): void {
    needed('node:dns').lookup(host, { all: true }, (error, addresses) => {
      done(error ?? undefined, error === null ? addresses.map(({ address }) => address) : [])
    })
  }

  connect(target: ConnectTarget, sink: Sink): Link {
    checkPlace(target)
    return new NodeLink(target, sink, this.#tls)
  }

  // The first comes at the end of this turn of the event loop, and sockets are looked at between two of them.
  caughtUp(done: () => void): void {
    setImmediate(setImmediate, () => {
      flush()
      done()
    })
  }
}

function checkPlace({ path = '', localAddress }: ConnectTarget): void {
  // The system would cut such a path, and somebody else may listen at its beginning. An abstract name may have a NUL in it,
  // a pipe of Windows may be longer.
  if (/^[^\0].*\0/s.test(path) || (!path.startsWith('\\\\') && Buffer.byteLength(path.replace('\0', '')) > 107))
    throw new Error('a path above 107 bytes, or with a NUL')
  // Node makes a socket before it looks, and never ends it.
  if (localAddress && needed('node:net').isIP(localAddress) === 0)
    throw new TypeError(`localAddress is no IP address: ${localAddress}`)
}

/** Whose a socket is. What is hung on sockets are the same functions for all of them, which find their link here. */
const LINK = Symbol('link')
type Carried = Socket & { [LINK]?: NodeLink }

function onRead(this: Carried, length: number, buffer: Uint8Array): boolean {
  this[LINK]?.read(length, buffer)
  return true
}
function onData(this: Carried, chunk: Buffer): void {
  this[LINK]?.readAlone(chunk)
}
function onConnect(this: Carried): void {
  this[LINK]?.connected(this)
}
function onError(this: Carried, error: Error): void {
  this[LINK]?.sawError(this, error)
}
function onEnd(this: Carried): void {
  this[LINK]?.sawEnd(this)
}
function onClose(this: Carried): void {
  this[LINK]?.sawClose(this)
}
const guardedWrite: Socket['_write'] = function (this: Carried, chunk, encoding, done) {
  ;(Object.getPrototypeOf(this) as Socket)._write.call(this, chunk, encoding, (this[LINK] as NodeLink).guard(done))
}
const guardedWritev: NonNullable<Socket['_writev']> = function (this: Carried, chunks, done) {
  ;(Object.getPrototypeOf(this) as Socket)._writev?.call(this, chunks, (this[LINK] as NodeLink).guard(done))
}

/** What every socket reads with, but where it does not say whose bytes they are (Bun) or keeps them from TLS (Deno). */
const ONREAD =
  'Bun' in globalThis || 'Deno' in globalThis
    ? undefined
    : ({ buffer: nextBuffer, callback: onRead } as SocketConnectOpts['onread'])

/** How every socket is used. */
const WAYS = { allowHalfOpen: true, autoSelectFamily: false }

/** What a record of TLS holds at most: what is read at once of a connection that was dialled with it. RFC 8446 §5.1. */
const TLS_BYTES = 16 * 1024

/** What waits to be done, in order: bytes to write, a handshake, half-close, close. */
type Step = Bytes | { readonly tls: TlsTarget } | 'end' | 'close'

class NodeLink implements Link, Receiver {
  readonly #target: ConnectTarget
  readonly #sink: Sink
  readonly #client: TlsClient
  #socket: Carried | undefined
  #phase: 'connecting' | 'securing' | 'open' | 'closed' = 'connecting'
  /** Destroyed by the owner, or failed: only closed() is left to say. */
  #over = false
  #writeFailed = false
  /** The write failed of what the system tells once: to whoever reads next it says 'end'. */
  #broken = false
  #eof = false
  #paused = false
  /** The owner has said that it will write no more. */
  #ended = false
  #steps: Step[] | undefined
  /** TLS handshakes that came before this one. */
  #layers = 0
  /** Bytes of the batch that the system has not accepted as a whole, and how many of them it was reported to have. */
  #batch = 0
  #reported = 0
  #writing = false
  /** @internal */
  readsAlone = false
  /** @internal */
  get readBytes(): number {
    return this.#target.tls === undefined ? READ_BYTES : TLS_BYTES
  }

  constructor(target: ConnectTarget, sink: Sink, client: TlsClient) {
    this.#target = target
    this.#sink = sink
    this.#client = client
    try {
      this.#dial()
    } catch (error) {
      soon(() => this.#failedToStart(error))
    }
  }

  write(chunks: readonly Bytes[]): void {
    if (this.#over || this.#ended || this.#writeFailed) return
    // Nothing waits: they leave as they are.
    if (this.#phase === 'open' && this.#batch === 0 && this.#steps === undefined) return this.#writeBatch(chunks)
    for (const chunk of chunks) if (chunk.length > 0) this.#later(chunk)
    this.#advance()
  }

  end(): void {
    if (this.#over || this.#ended) return
    this.#ended = true
    this.#later('end')
    this.#advance()
  }

  close(): void {
    if (this.#over) return
    if (this.#writeFailed || (this.#phase !== 'open' && this.#steps === undefined)) return this.destroy()
    this.#ended = true
    this.#later('close')
    this.#advance()
  }

  destroy(): void {
    this.#over = true
    this.#socket?.destroy()
  }

  startTls(tls: TlsTarget): void {
    if (this.#over || this.#ended) return
    this.#later({ tls })
    this.#advance()
  }

  // A handshake must go on reading: what is paused before it is over is paused after it.
  pause(): void {
    this.#paused = true
    if (this.#phase === 'open') this.#socket?.pause()
  }
  resume(): void {
    this.#paused = false
    if (this.#phase === 'open') this.#socket?.resume()
  }
  ref(): void {
    this.#socket?.ref()
  }
  unref(): void {
    this.#socket?.unref()
  }

  // ── dialling ──

  #dial(): void {
    const { address, port, path, localAddress, tls } = this.#target
    // Without a prototype: of what has one, node:net makes a copy with hidden classes of its own each time, 1.2 KB in the
    // old generation for each connection.
    const carrier = { __proto__: null, host: address, port, path, localAddress, onread: ONREAD, ...WAYS } as Carrier
    const socket =
      tls === undefined
        ? needed('node:net').connect(carrier as SocketConnectOpts)
        : this.#client.connect(tls, carrier, this.#peer())
    this.#watch(socket)
    if (ONREAD === undefined) socket.on('data', onData)
    socket.on('connect', onConnect)
    if (tls !== undefined) this.#whenSecured(socket as TLSSocket, tls)
  }
  /** @internal */
  read(length: number, buffer: Uint8Array): void {
    this.#beforeReading()
    if (!this.#over) deliver(this, buffer as Uint8Array<ArrayBuffer>, length)
  }
  /** @internal */
  readAlone(chunk: Buffer): void {
    this.#beforeReading()
    const { buffer, byteOffset, length } = chunk
    if (length <= READ_BYTES) return void this.receive(new Uint8Array(buffer, byteOffset, length))
    // Each may be kept, with its buffer.
    for (let at = 0; at < length; at += READ_BYTES) this.receive(new Uint8Array(chunk.subarray(at, at + READ_BYTES)))
  }
  /**
   * What leaves in TLS is told a turn later, and the answer to it may be here by then: it would look like an early one.
   * Of a write that failed nothing is queued any more, and yet it was not accepted.
   */
  #beforeReading(): void {
    if (this.#batch > 0 && !this.#over && !this.#writeFailed) this.reportProgress()
  }
  /** @internal */
  receive(data: Uint8Array, turn?: number): boolean {
    return !this.#over && this.#sink.received(data, turn)
  }

  /** Whose session a handshake resumes: one through a proxy is not one with the proxy, though both may have one name. */
  #peer(): string {
    return JSON.stringify([this.#target.address, this.#target.port, this.#target.path, this.#layers])
  }

  #failedToStart(error: unknown): void {
    this.#fail(error, this.#target.tls === undefined ? 'connect' : 'tls')
    this.#closed()
  }

  /** @internal */
  connected(socket: Carried): void {
    if (this.#over) return
    const options = this.#target.socketOptions as { noDelay?: unknown; keepAlive?: unknown } | undefined
    // Not as an option of connect: before Node 24 tls.connect ignores it there.
    if (options?.noDelay !== false) socket.setNoDelay(true)
    const keepAlive = options?.keepAlive
    if (keepAlive === true || typeof keepAlive === 'number') {
      const given = typeof keepAlive === 'number' && keepAlive > 0
      socket.setKeepAlive(true, given ? Math.min(Math.max(keepAlive, 1_000), MAX_KEEP_ALIVE) : 0)
    }
    if (this.#target.tls !== undefined) {
      this.#phase = 'securing'
      this.#sink.connected(addresses(socket, this.#target.address))
    } else this.#opened(() => this.#sink.connected(addresses(socket, this.#target.address)))
  }

  // ── TLS ──

  #secure(tls: TlsTarget): void {
    const carrier = this.#socket as Socket
    this.#phase = 'securing'
    try {
      // Node would wait for ever for what an ended peer has to say.
      if (!carrier.readable) throw Object.assign(new Error('the peer ended before TLS began'), { code: 'ECONNRESET' })
      carrier.off('data', onData)
      const socket = this.#client.connect(tls, { socket: carrier, host: this.#target.address }, this.#peer())
      this.#watch(socket)
      this.#whenSecured(socket, tls)
      socket.on('data', onData)
    } catch (error) {
      soon(() => this.#fail(error, 'tls'))
    }
  }

  #whenSecured(socket: TLSSocket, tls: TlsTarget): void {
    socket.once('secureConnect', () => {
      if (this.#over) return
      const refused = refusal(socket, tls)
      if (refused !== undefined) return this.#fail(refused, 'tls')
      // HTTP/2 allows no second handshake. RFC 9113 §9.2.1.
      if (socket.alpnProtocol === 'h2') {
        socket.once('secureConnect', () => socket.destroy(new Error('the peer has renegotiated TLS')))
      }
      this.#opened(() => this.#sink.secured({ ...addresses(socket, this.#target.address), ...tlsInfo(socket) }))
    })
  }

  /** What came first is said first; then what waited can go on. */
  #opened(tell: () => void): void {
    if (this.#phase === 'securing') this.#layers++
    this.#phase = 'open'
    if (this.#paused) this.#socket?.pause()
    tell()
    this.#advance()
  }

  // ── what the socket says ──

  /** From here on this is the link's socket; what an outer one says after that is of no interest, errors included. */
  #watch(socket: Carried): void {
    this.#socket = socket
    socket[LINK] = this
    // The stream never learns that a write failed: it would destroy the socket, and what the peer said before would be
    // lost. These two are the documented seam of a stream, and the one place that tells each write's end: a callback
    // given to `write` costs a tick.
    socket._write = guardedWrite
    if (socket._writev) socket._writev = guardedWritev
    socket.on('error', onError)
    socket.on('end', onEnd)
    socket.on('close', onClose)
  }

  /** @internal */
  sawError(socket: Carried, error: Error & { syscall?: string }): void {
    if (socket === this.#socket) this.#fail(error, this.#sideOf(error))
  }
  #sideOf(error: { syscall?: string }): LinkSide {
    if (this.#phase === 'connecting') return 'connect'
    if (this.#phase === 'securing') return 'tls'
    return error.syscall === 'write' || error.syscall === 'shutdown' ? 'write' : 'read'
  }

  #fail(error: unknown, side: LinkSide): void {
    flush()
    if (this.#over) return
    this.#over = true
    // After a failed write the end of reading is expected, however it comes.
    if (!this.#writeFailed) this.#sink.failed(error, side)
    // Node does not end a socket whose peer breaks TLS after the handshake: it only says so.
    this.#socket?.destroy()
  }

  #cannotWrite(error: Error & { code?: string }): void {
    flush()
    if (this.#over || this.#writeFailed) return
    if (this.#phase !== 'open') return this.#fail(error, 'tls')
    this.#writeFailed = true
    // EPIPE: the peer ended first, and then reset. All else was no end, and what looks like one behind it is none.
    this.#broken = error.code !== 'EPIPE'
    this.#steps = undefined
    slow.delete(this)
    this.#sink.failed(error, 'write')
    if (this.#eof) this.destroy()
  }

  /** @internal */
  sawEnd(socket: Carried): void {
    if (socket !== this.#socket) return
    flush()
    // A reset behind the last bytes is an end to libuv as well: what waits to be written is told in the same turn.
    if (this.#batch > 0 && !this.#writeFailed) setImmediate(() => this.#readEnd())
    else this.#readEnd()
  }
  #readEnd(): void {
    if (this.#over || this.#phase !== 'open') return
    this.#eof = true
    if (!this.#broken) this.#sink.eof()
    if (this.#writeFailed) this.destroy()
  }

  /** @internal */
  sawClose(socket: Carried): void {
    if (socket === this.#socket) this.#closed()
  }
  #closed(): void {
    if (this.#phase === 'closed') return
    flush()
    this.#phase = 'closed'
    this.#over = true
    this.#steps = undefined
    slow.delete(this)
    release(this)
    this.#sink.closed()
  }

  // ── writing ──

  /** Does what can be done of what waits: the next batch, or the step after it. */
  #advance(): void {
    if (this.#phase !== 'open' || this.#batch > 0) return
    const steps = this.#steps
    if (steps === undefined) return
    let count = 0
    while (ArrayBuffer.isView(steps[count])) count++
    const first = steps.splice(0, Math.max(count, 1))
    // Most links have nothing waiting, and an idle one has no list for it.
    if (steps.length === 0) this.#steps = undefined
    if (count > 0) this.#writeBatch(first as Bytes[])
    else this.#perform(first[0] as Exclude<Step, Bytes>)
  }
  #later(step: Step): void {
    ;(this.#steps ??= []).push(step)
  }

  #perform(step: Exclude<Step, Bytes>): void {
    if (step === 'close') this.#socket?.destroySoon()
    else if (step === 'end') {
      // Node asks OpenSSL twice to end, which drops what of a read is not told yet (TLS 1.2): never from inside one.
      setImmediate(() => this.#socket?.end())
      this.#advance()
    } else this.#secure(step.tls)
  }

  #writeBatch(chunks: readonly Bytes[]): void {
    const socket = this.#socket as Socket
    const several = chunks.length > 1
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.byteLength
    if (bytes === 0) return
    this.#batch = bytes
    this.#reported = 0
    this.#writing = true
    if (several) socket.cork()
    for (const chunk of chunks) socket.write(chunk)
    if (several) socket.uncork()
    this.#writing = false
    if (socket.writableLength === 0) reportSoon(this)
    else watchProgress(this)
  }

  /** The system has accepted the batch. @internal */
  accepted(atOnce: boolean): void {
    if (this.#writing || this.#over || (this.#socket as Socket).writableLength > 0) return
    const rest = this.#batch - this.#reported
    this.#batch = 0
    slow.delete(this)
    if (rest > 0) this.#sink.drained(rest, atOnce)
    this.#advance()
  }

  /** What the platform is to call when a write is over, in place of what the stream gave. @internal */
  guard(done: (error?: Error | null) => void): (error?: Error | null) => void {
    return (error) => this.#wrote(done, error)
  }
  #wrote(done: (error?: Error | null) => void, error: Error | null | undefined): void {
    if (error === undefined || error === null) {
      done()
      this.accepted(false)
    } else if (this.#socket?.destroyed === true) done(error)
    // Node tells it from inside write where the system refuses at once.
    else soon(() => this.#cannotWrite(error))
  }

  /** Node says when a whole batch was accepted; how much of it already was, only the handle's queue tells. @internal */
  reportProgress(): void {
    const accepted = Math.max(0, this.#batch - queuedBytes(this.#socket as Socket, this.#batch))
    const news = accepted - this.#reported
    if (news <= 0) return
    this.#reported = accepted
    this.#sink.drained(news)
  }
}

let lastInfo: LinkInfo = {}
/** Connections between the same two addresses, which mostly follow each other, have one object for both. */
function addresses(socket: Socket, dialled: string | undefined): LinkInfo {
  const { localAddress } = socket
  // Node keeps it for the next who asks, in an object and a string for each connection: 100 bytes of an idle one.
  ;(socket as { _sockname?: unknown })._sockname = undefined
  // An IPv4 address has one form, and was reached if it was not the unspecified one: the system need not be asked.
  const literal = dialled !== undefined && dialled !== '0.0.0.0' && isIPv4(dialled)
  const remoteAddress = literal ? dialled : socket.remoteAddress
  if (lastInfo.localAddress !== localAddress || lastInfo.remoteAddress !== remoteAddress) {
    lastInfo = { localAddress, remoteAddress }
  }
  return lastInfo
}

interface Handle {
  readonly writeQueueSize?: number
  /** What carries this one: TCP below TLS. */
  readonly _parent?: Handle | undefined
}

/**
 * What the system has not accepted. `bytesWritten` and `writableLength` move only when a whole batch is through; the
 * queue of the lowest handle moves with each packet (under TLS it counts the ciphertext: a little too much).
 */
function queuedBytes(socket: Socket, otherwise: number): number {
  let handle = (socket as unknown as { _handle?: Handle | null })._handle
  while (handle?._parent) handle = handle._parent
  return handle?.writeQueueSize ?? otherwise
}

/** Links whose batch left at once: told together, since nothing may be told from inside `write`. */
let left: NodeLink[] = []

function reportSoon(link: NodeLink): void {
  if (left.push(link) === 1) soon(reportLeft)
}
function reportLeft(): void {
  const links = left
  left = []
  try {
    for (let link = links.pop(); link !== undefined; link = links.pop()) link.accepted(true)
  } finally {
    // One owner's exception is not the others' business.
    for (const link of links) reportSoon(link)
  }
}

/** Links whose batch did not, looked at together. */
const slow = new Set<NodeLink>()
let looking: NodeJS.Timeout | undefined

function watchProgress(link: NodeLink): void {
  slow.add(link)
  looking ??= setInterval(() => {
    for (const each of slow) each.reportProgress()
    if (slow.size > 0) return
    clearInterval(looking)
    looking = undefined
  }, PROGRESS_INTERVAL).unref()
}
