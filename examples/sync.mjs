// A response, without a promise.
// node examples/sync.mjs http://127.0.0.1:8080/   while examples/h11-server.mjs runs
import { stream } from 'httpcore/sync'

const response = stream('GET', process.argv[2] ?? 'http://127.0.0.1:8080/')
process.stdout.write(`${response.status} `)
for (const chunk of response) process.stdout.write(chunk)
