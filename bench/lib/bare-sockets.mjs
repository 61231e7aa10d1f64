// Connections without a client: sockets of node:net that share their listeners and one read buffer, as ours do.
import net from 'node:net'

const buffer = Buffer.allocUnsafeSlow(64 * 1024)
const WAITING = Symbol('waiting')
const onread = { buffer: () => buffer, callback: onRead }

function onRead(length) {
  const waiting = this[WAITING]
  waiting.text += buffer.latin1Slice(0, length)
  const head = waiting.text.indexOf('\r\n\r\n') + 4
  if (head < 4) return true
  const content = Number(/^content-length: (\d+)/im.exec(waiting.text)[1])
  if (waiting.text.length === head + content) waiting.done()
  return true
}
function onConnect() {
  this.setNoDelay(true)
}
function ignore() {}

/** What sends a GET on one of `n` connections, each with one at a time. */
export function keep(n) {
  const idle = []
  let made = 0
  const open = ({ hostname: host, port }) => {
    if (made++ === n) throw new Error('more requests at once than connections')
    const socket = net.connect({ host, port, onread, allowHalfOpen: true, autoSelectFamily: false })
    socket.on('connect', onConnect)
    for (const event of ['error', 'end', 'close']) socket.on(event, ignore)
    return socket
  }
  return (url) => {
    const { host, hostname, port, pathname } = new URL(url)
    const socket = idle.pop() ?? open({ hostname, port })
    return new Promise((resolve) => {
      const done = () => {
        socket[WAITING] = undefined
        idle.push(socket)
        resolve()
      }
      socket[WAITING] = { text: '', done }
      socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    })
  }
}
