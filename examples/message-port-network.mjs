// HTTP over a MessagePort: a network whose links are channels. Messages are bytes, 'end', or a number: so many bytes were
// taken out, which is what holds a writer back, since a port itself never does.
import { MessageChannel } from 'node:worker_threads'
import { nodeNetwork } from 'httpcore'

/** `accept(port, target)` gives the far end to whoever answers there; false: nobody does. */
export function portNetwork(accept) {
  const clock = nodeNetwork()
  return {
    can: { alpn: false, sni: false, startTls: false, halfClose: true, unix: false, closeNotify: false },
    now: () => clock.now(),
    timer: (at, fire, keepAlive) => clock.timer(at, fire, keepAlive),
    resolve: (host, done) => queueMicrotask(() => done(undefined, [host])),
    caughtUp: (done) => clock.caughtUp(done), // a port is looked at when a socket is
    connect(target, sink) {
      if (target.tls !== undefined) throw new Error('this network has no TLS')
      const { port1, port2 } = new MessageChannel()
      if (accept(port2, target)) return portLink(port1, sink)
      const refused = Object.assign(new Error('nobody listens'), { code: 'ECONNREFUSED' })
      return portLink(port1, sink, refused)
    },
  }
}

/** One end of a channel as a link; the same for both sides. */
export function portLink(port, sink, refused) {
  const queue = []
  let unread = 0 // written, and not taken out at the far end
  let [paused, ended, eof, closing, over] = [false, false, false, false, false]
  const gone = (error, side) => {
    if (over) return
    over = true
    port.close()
    queueMicrotask(() => (error !== undefined && sink.failed(error, side), sink.closed()))
  }
  const flow = () => {
    while (queue.length > 0 && !paused && !over) {
      const next = queue.shift()
      if (next === 'end') {
        eof = true
        sink.eof()
      } else {
        port.postMessage(next.length)
        sink.received(next)
      }
    }
    if ((eof && ended && unread === 0) || (closing && unread === 0)) gone()
  }
  port.on('message', (message) => {
    if (over) return
    if (typeof message === 'number') sink.drained(message, (unread -= message))
    else if (message === 'end') queue.push(message)
    // Whoever keeps a piece has its buffer: no two share one.
    else for (let at = 0; at < message.length; at += 65_536) queue.push(message.slice(at, at + 65_536))
    flow()
  })
  port.on('close', () => gone(Object.assign(new Error('the far end is gone'), { code: 'ECONNRESET' }), 'read'))
  queueMicrotask(() => (refused === undefined ? over || sink.connected({}) : gone(refused, 'connect')))
  const end = () => {
    if (!ended && !over) port.postMessage('end')
    ended = true
    queueMicrotask(flow)
  }
  return {
    write(chunks) {
      for (const chunk of ended || over ? [] : chunks.filter(({ length }) => length > 0)) {
        const copy = chunk.slice()
        unread += copy.length
        port.postMessage(copy, [copy.buffer])
      }
    },
    end,
    close: () => (end(), (closing = true)),
    destroy: () => gone(),
    pause: () => (paused = true),
    resume: () => ((paused = false), queueMicrotask(flow)),
    startTls: () => gone(new Error('this network has no TLS'), 'tls'),
    ref: () => port.ref(),
    unref: () => port.unref(),
  }
}
