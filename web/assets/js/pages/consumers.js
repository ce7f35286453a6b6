// All consumers.

import * as api from '../api.js';
import { badge, fill, h, to } from '../dom.js';
import { count } from '../format.js';
import { listing } from '../table.js';
import { head, queueLink } from './common.js';

const ACTIVITY = { up: 'good', single_active: 'accent', waiting: '' };

export function consumers({ main, signal, saw }) {
  const table = listing({
    key: 'consumers', path: '/api/consumers', caption: 'consumers', signal, empty: 'Nobody consumes.',
    columns: [
      { name: 'Queue', isName: true, sort: 'queue.name', value: (consumer) => queueLink(consumer.queue.vhost, consumer.queue.name) },
      { name: 'Tag', isName: true, sort: 'consumer_tag', value: (consumer) => h('code', {}, consumer.consumer_tag) },
      { name: 'Channel', isName: true, sort: 'channel_details.name', value: (consumer) => h('a', { href: to('channel', consumer.channel_details?.name ?? '') }, consumer.channel_details?.name) },
      { name: 'Activity', sort: 'activity_status', value: (consumer) => badge((consumer.activity_status ?? 'up').replace('_', ' '), ACTIVITY[consumer.activity_status] ?? '') },
      { name: 'Acknowledges', value: (consumer) => (consumer.ack_required ? 'yes' : 'no') },
      { name: 'Exclusive', value: (consumer) => (consumer.exclusive ? 'yes' : 'no') },
      { name: 'Prefetch', number: true, sort: 'prefetch_count', value: (consumer) => (consumer.prefetch_count ? count(consumer.prefetch_count) : '∞') },
    ],
  });
  fill(main, head('Consumers'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}
