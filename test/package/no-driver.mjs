import { openBus } from 'semel'
import { postgres } from 'semel/postgres'

const engine = postgres({ url: 'postgres://127.0.0.1:1/none' })
const error = await openBus({ engine, topics: [] }).catch((cause) => cause)
console.log(`${error.code}: ${error.message} (${error.hint})`)
